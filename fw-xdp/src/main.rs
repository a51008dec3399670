//! XDP entry point: the node's ingress.
#![cfg_attr(target_arch = "bpf", no_std, no_main)]

#[cfg(target_arch = "bpf")]
mod program {
    use aya_ebpf::bindings::xdp_action::{XDP_DROP, XDP_PASS};
    use aya_ebpf::macros::xdp;
    use aya_ebpf::programs::XdpContext;
    use fw_common::datapath::{Verdict, run};
    use fw_common::kernel::{KernelTables, XdpFrame};
    use fw_common::logged;
    use fw_common::wire::Direction;

    #[xdp(frags)]
    fn fw_xdp(context: XdpContext) -> u32 {
        match logged!(
            "fw_xdp",
            seen,
            context,
            run(&XdpFrame::new(&context), &KernelTables, Direction::Ingress)
        ) {
            Verdict::Pass => XDP_PASS,
            Verdict::Drop => XDP_DROP,
        }
    }

    /// Interface and length, of a packet in several parts that of the first.
    #[cfg(feature = "ebpf-log")]
    fn seen(context: &XdpContext) -> (u32, u32) {
        let length = context.data_end() - context.data();
        (context.ingress_ifindex() as u32, length as u32)
    }

    #[panic_handler]
    fn panic(_info: &core::panic::PanicInfo<'_>) -> ! {
        // Never linked: the build refuses an object with a way to get here.
        loop {}
    }

    #[unsafe(link_section = "license")]
    #[unsafe(no_mangle)]
    static LICENSE: [u8; 13] = *b"Dual MIT/GPL\0";
}

#[cfg(not(target_arch = "bpf"))]
fn main() {}
