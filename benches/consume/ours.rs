//! The loops of [`main`](main.rs) that read as headcount does, in a program with headcount's allocator.

#[path = "main.rs"]
mod loops;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() {
    loops::main();
}
