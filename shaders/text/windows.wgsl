// Windows of a text, each a row of classes: at random places, or one after the other. Numbers: classes in a window, how many
// places a window may start at, and the distance between windows that follow each other (0: at random).

fn element(e: u32) -> f32 {
    let width = params.random[1].y;
    let places = params.random[1].z;
    let stride = params.random[1].w;
    let row = e / width;
    let count = counter_word(0u);
    if stride == 0u {
        let word = philox(vec4<u32>(row, params.random[0].z, count, 0u), params.random[0].xy).x;
        return load_text(wide_product(word, places).x + e % width);
    }
    return load_text(((count * params.random[0].w + row) * stride) % places + e % width);
}
