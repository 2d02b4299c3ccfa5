// A unit is four consecutive elements, loaded and stored as one vector.

alias Lanes = vec4<f32>;
