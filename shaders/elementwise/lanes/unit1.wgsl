// A unit is one element: views that start or end off a vector's edge, and layouts with odd widths.

alias Lanes = f32;
