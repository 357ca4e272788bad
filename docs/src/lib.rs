//! The samples of the book are in the `examples` folder of this crate, where the compiler reads them.
//!
//! The pages beside this file include them. Nothing else is here.
