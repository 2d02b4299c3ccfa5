//! Networks that differ in their activation, trained side by side.

mod course;
mod panels;
mod picture;
