// The slots of one expert, in order: a workgroup an expert, an invocation a stretch of slots.

struct Stretch {
    first: u32,
    end: u32,
    /// Slots of the expert in it, before it, and in all stretches.
    own: u32,
    before: u32,
    all: u32,
}

fn expert_of(slot: u32) -> u32 {
    return u32(load_experts(slot));
}

fn stretch(local: u32, expert: u32) -> Stretch {
    let slots = params.tokens * params.top_k;
    let length = (slots + 63u) / 64u;
    var s = Stretch(min(local * length, slots), min((local + 1u) * length, slots), 0u, 0u, 0u);
    for (var slot = s.first; slot < s.end; slot++) {
        s.own += select(0u, 1u, expert_of(slot) == expert);
    }
    let sums = before(local, s.own);
    s.before = sums.x;
    s.all = sums.y;
    return s;
}
