// The row of each slot, and the token and the expert of each row. Rows that only fill a block repeat token 0.

fn store_member(row: u32, token: u32, expert: u32) {
    store_members_word(2u * row, token);
    store_members_word(2u * row + 1u, expert);
}

@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>,
        @builtin(local_invocation_index) local: u32) {
    let expert = workgroup_number(group, groups);
    if expert >= uniforms.experts {
        return;
    }
    let s = stretch(local, expert);
    let first = segments_word(2u * expert);
    var row = first + s.before;
    for (var slot = s.first; slot < s.end; slot++) {
        if expert_of(slot) == expert {
            store_member(row, slot / params.top_k, expert);
            store_places_word(slot, row);
            row++;
        }
    }
    let next = segments_word(2u * expert + 2u);
    for (var filler = first + s.all + local; filler < next; filler += 64u) {
        store_member(filler, 0u, expert);
    }
}
