//! Link arguments of the library.
//!
//! pgrx reads the schema of the extension from a section of the library that a linker with `--gc-sections`
//! may drop. cargo-pgrx guards against it with a linker flag for EVERY crate of its own builds, which makes cargo
//! compile all dependencies twice (once with, once without it: tests, clippy). Here the flag goes to the one
//! artefact that needs it, and `scripts/lib.sh` turns cargo-pgrx's off.
fn main() {
    println!("cargo:rerun-if-changed=build.rs");
    let target = |name: &str| std::env::var(name).unwrap_or_default();
    if target("CARGO_CFG_TARGET_FAMILY") == "unix" && target("CARGO_CFG_TARGET_OS") != "macos" {
        println!("cargo:rustc-cdylib-link-arg=-Wl,--no-gc-sections");
    }
}
