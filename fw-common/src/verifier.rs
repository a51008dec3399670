//! What the kernel's verifier should not know.

/// Two numbers where a word of the stack begins.
#[repr(align(8))]
struct Aligned([u32; 2]);

/// The same number, on whatever way it was come to: where ways join, the verifier
/// would else follow each of them to the end.
///
/// Through the upper half of a word of the stack, because the verifier remembers
/// numbers that are stored where a word begins.
#[inline(always)]
#[must_use]
pub fn join(number: u32) -> u32 {
    let mut memory = Aligned([0; 2]);
    let half = &raw mut memory.0[1];
    // SAFETY: a local variable; volatile, so that the number passes through it.
    unsafe {
        half.write_volatile(number);
        half.read_volatile()
    }
}
