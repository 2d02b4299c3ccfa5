// Four elements at a time.

fn process(i: u32) {
    let e = 4u * i;
    store_y(i, Lanes(element(e), element(e + 1u), element(e + 2u), element(e + 3u)));
}
