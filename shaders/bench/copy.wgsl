// The ceiling of everything elementwise: the loop of elementwise/map.wgsl with nothing to compute.

fn process(i: u32) {
    dst_data[i] = src_data[i];
}
