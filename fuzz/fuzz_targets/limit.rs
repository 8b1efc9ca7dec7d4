//! An allocator that refuses what inputs this short should never make anybody ask for. The fuzzer's
//! own limit takes a sanitizer.

use std::alloc::{GlobalAlloc, Layout, System};

/// Most bytes at once.
const MAX: usize = 200 << 20;

struct Limit;

#[global_allocator]
static LIMIT: Limit = Limit;

/// The fuzzer's hook ends the process before anything unwinds.
fn check(size: usize) {
    assert!(size <= MAX, "{size} bytes at once");
}

// SAFETY: it hands everything on as it is.
unsafe impl GlobalAlloc for Limit {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        check(layout.size());
        unsafe { System.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        check(layout.size());
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn dealloc(&self, memory: *mut u8, layout: Layout) {
        unsafe { System.dealloc(memory, layout) }
    }

    unsafe fn realloc(&self, memory: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        check(size);
        unsafe { System.realloc(memory, layout, size) }
    }
}
