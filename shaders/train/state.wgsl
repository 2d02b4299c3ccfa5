// What a training step leaves for the next kernels and the next step, one word each. Counts are kept as bits.

/// Steps taken: random numbers follow it. Updates made, of them; steps that were skipped; sound ones since the scale changed.
const COUNT = 0u;
const UPDATES = 1u;
const SKIPPED = 2u;
const SOUND = 3u;
/// What the loss is multiplied by before its gradients are taken.
const SCALE = 4u;
/// Of this step: whether it is skipped, what gradients are multiplied by, their norm, the learning rate.
const SKIP = 5u;
const FACTOR = 6u;
const NORM = 7u;
const RATE = 8u;
/// AdamW's 1 - beta^updates.
const CORRECTION1 = 9u;
const CORRECTION2 = 10u;
