// A unit is one element: views that start or end off a vector's edge, and layouts with odd widths.

alias Lanes = f32;

fn value_lanes(x: Lanes, m: Lanes, i: u32) -> Lanes {
    return value(x, m, i);
}
