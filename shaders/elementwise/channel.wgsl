// The channel of element e, for learned parameters.

fn channel(e: u32) -> u32 {
    return (e / params.inner) % params.channels;
}
