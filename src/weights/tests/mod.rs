//! Models as people have them, small ones: every family, reference answers, and everything that does not fit.

mod families;
mod hostile;
mod int4;
mod mixtures;
mod settings;
