//! TC entry points: the node's egress, and ingress where XDP cannot serve.
#![cfg_attr(target_arch = "bpf", no_std, no_main)]

#[cfg(target_arch = "bpf")]
mod program {
    use aya_ebpf::bindings::{TC_ACT_SHOT, TC_ACT_UNSPEC};
    use aya_ebpf::macros::classifier;
    use aya_ebpf::programs::TcContext;
    use fw_common::datapath::tables::Tables as _;
    use fw_common::datapath::{Verdict, run};
    use fw_common::kernel::{HeaderlessFrame, KernelTables, TcFrame};
    use fw_common::logged;
    use fw_common::wire::Direction;

    #[classifier]
    fn fw_tc_ingress(context: TcContext) -> i32 {
        let frame = TcFrame::new(&context, false);
        action(logged!(
            "fw_tc_ingress",
            seen,
            context,
            run(&frame, &KernelTables, Direction::Ingress)
        ))
    }

    #[classifier]
    fn fw_tc_egress(context: TcContext) -> i32 {
        let frame = TcFrame::new(&context, true);
        action(logged!(
            "fw_tc_egress",
            seen,
            context,
            run(&frame, &KernelTables, Direction::Egress)
        ))
    }

    /// As `fw_tc_ingress`, on interfaces without an Ethernet header.
    #[classifier]
    fn fw_l3_ingress(context: TcContext) -> i32 {
        let frame = HeaderlessFrame::new(&context, false);
        action(logged!(
            "fw_l3_ingress",
            seen,
            context,
            run(&frame, &KernelTables, Direction::Ingress)
        ))
    }

    /// As `fw_tc_egress`, on interfaces without an Ethernet header.
    #[classifier]
    fn fw_l3_egress(context: TcContext) -> i32 {
        let frame = HeaderlessFrame::new(&context, true);
        action(logged!(
            "fw_l3_egress",
            seen,
            context,
            run(&frame, &KernelTables, Direction::Egress)
        ))
    }

    /// Attached nowhere: user space runs it to learn the time of the datapath's clock.
    #[classifier]
    fn fw_clock(_context: TcContext) -> i32 {
        let now = |view| KernelTables.now(view) as i32;
        KernelTables.active().map_or(0, now)
    }

    /// What passes goes on to whatever other program is attached.
    #[inline(always)]
    fn action(verdict: Verdict) -> i32 {
        match verdict {
            Verdict::Pass => TC_ACT_UNSPEC,
            Verdict::Drop => TC_ACT_SHOT,
        }
    }

    /// Interface and length.
    #[cfg(feature = "ebpf-log")]
    fn seen(context: &TcContext) -> (u32, u32) {
        // SAFETY: the context is valid as long as the program runs.
        let interface = unsafe { (*context.skb.skb).ifindex };
        (interface, context.len())
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
