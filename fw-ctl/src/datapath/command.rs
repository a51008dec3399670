//! Commands of bpf(2) that aya has not: values too large for the stack, and many
//! updates in one.
//!
//! aya passes values by value; a table of ports is 128 KiB, and a debug build
//! copies it often enough to overflow the stack of a thread.

use std::ffi::CString;
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use aya::Pod;
use aya::maps::{Array, IterableMap, MapData};

/// Commands of linux/bpf.h.
#[derive(Clone, Copy)]
enum Command {
    Create = 0,
    Lookup = 1,
    Update = 2,
    OpenPinned = 7,
    Info = 15,
    Query = 16,
    UpdateBatch = 26,
}

/// The part of `union bpf_attr` that looking up and updating use.
#[repr(C)]
struct Element {
    map: u32,
    pad: u32,
    key: u64,
    value: u64,
    flags: u64,
}

/// The part that making a map uses.
#[repr(C)]
struct NewMap {
    kind: u32,
    key_size: u32,
    value_size: u32,
    entries: u32,
    flags: u32,
    inner: u32,
    numa_node: u32,
    name: [u8; 16],
}

/// The part that commands on many elements use.
#[repr(C)]
struct Batch {
    from: u64,
    until: u64,
    keys: u64,
    values: u64,
    count: u32,
    map: u32,
    element_flags: u64,
    flags: u64,
}

/// The part that asking about an object uses.
#[repr(C)]
struct Info {
    object: u32,
    length: u32,
    answer: u64,
}

/// The part that asking what is on a hook uses.
#[repr(C)]
struct Query {
    interface: u32,
    hook: u32,
    flags: u32,
    /// Written by the kernel, as `count` and `revision`.
    attach_flags: u32,
    ids: u64,
    count: u32,
    pad: u32,
    ids_flags: u64,
    links: u64,
    links_flags: u64,
    revision: u64,
}

/// The part that opening a pin uses.
#[repr(C)]
struct OpenPinned {
    path: u64,
    unused: u32,
    flags: u32,
}

/// Index of the interface that the XDP or TCX link pinned at `path` is on, in the network
/// namespace of that interface; 0: it has gone.
///
/// # Errors
/// The kernel refuses, in particular when no link is pinned there.
pub fn interface_of_link(path: &Path) -> io::Result<u32> {
    /// Words of `struct bpf_link_info` before what its kind has, which begins with the index.
    const HEAD: usize = 4;
    let path = CString::new(path.as_os_str().as_bytes())?;
    let attributes = OpenPinned {
        path: path.as_ptr() as u64,
        unused: 0,
        flags: 0,
    };
    // SAFETY: the kernel reads a string that ends with a zero byte and lives until then.
    let link = unsafe { bpf(Command::OpenPinned, &attributes)? };
    // SAFETY: the kernel has opened it for the caller, who has no other name for it.
    let link = unsafe { OwnedFd::from_raw_fd(link) };
    let mut answer = [0_u32; 16];
    let attributes = Info {
        object: link.as_raw_fd().cast_unsigned(),
        length: size_of_val(&answer) as u32,
        answer: answer.as_mut_ptr() as u64,
    };
    // SAFETY: the kernel writes as many bytes as `length` says at most, which is what
    // `answer` has.
    unsafe { bpf(Command::Info, &attributes)? };
    Ok(answer[HEAD])
}

/// A hook of linux/bpf.h that TCX links are on.
#[derive(Clone, Copy, Debug)]
pub enum TcxHook {
    /// Packets that arrive.
    Ingress = 46,
    /// Packets that leave.
    Egress = 47,
}

/// Ids of the programs on a TCX hook of the interface with this index, in this network
/// namespace. aya asks for a descriptor of each besides, which the kernel gives to
/// `CAP_SYS_ADMIN` only: the service has not got that.
///
/// # Errors
/// The kernel refuses, or is older than TCX.
pub fn programs_on(interface: u32, hook: TcxHook) -> io::Result<Vec<u32>> {
    /// So many are the most that a hook can have (`BPF_MPROG_MAX`).
    const MOST: usize = 64;
    let mut ids = [0_u32; MOST];
    let attributes = Query {
        interface,
        hook: hook as u32,
        flags: 0,
        attach_flags: 0,
        ids: ids.as_mut_ptr() as u64,
        count: MOST as u32,
        pad: 0,
        ids_flags: 0,
        links: 0,
        links_flags: 0,
        revision: 0,
    };
    // SAFETY: the attributes are those of the command. The kernel writes `count` words at most,
    // which is what `ids` has, and to the attributes, which nobody reads afterwards.
    unsafe { bpf(Command::Query, &attributes)? };
    // No program has the id 0.
    Ok(ids.into_iter().take_while(|id| *id != 0).collect())
}

/// The value at `index`, as the `T`s that it consists of.
///
/// # Errors
/// The kernel refuses, in particular when there is no such index.
pub fn read<V: Pod, T: Pod + Default>(map: &Array<MapData, V>, index: u32) -> io::Result<Vec<T>> {
    let mut value = vec![T::default(); length::<V, T>()];
    element(Command::Lookup, fd(map), index, value.as_mut_ptr().cast())?;
    Ok(value)
}

/// Writes the value at `index`; what `value` lacks of it becomes zero.
///
/// # Errors
/// The kernel refuses, in particular when there is no such index.
pub fn write<V: Pod, T: Pod + Default>(
    map: &mut Array<MapData, V>,
    index: u32,
    value: &[T],
) -> io::Result<()> {
    let mut whole;
    let value = if value.len() == length::<V, T>() {
        value
    } else {
        whole = value.to_vec();
        whole.resize(length::<V, T>(), T::default());
        &whole
    };
    element(
        Command::Update,
        fd(map),
        index,
        value.as_ptr().cast_mut().cast(),
    )
}

/// Makes an array of maps for such as `inner` is, with a name of at most 15 bytes.
///
/// # Errors
/// The kernel refuses.
pub fn create_array_of_maps(
    name: &str,
    entries: u32,
    inner: BorrowedFd<'_>,
) -> io::Result<OwnedFd> {
    const ARRAY_OF_MAPS: u32 = 12;
    const INDEX: u32 = size_of::<u32>() as u32;
    let mut attributes = NewMap {
        kind: ARRAY_OF_MAPS,
        key_size: INDEX,
        value_size: INDEX,
        entries,
        flags: 0,
        inner: inner.as_raw_fd().cast_unsigned(),
        numa_node: 0,
        name: [0; 16],
    };
    for (byte, letter) in attributes.name.iter_mut().take(15).zip(name.bytes()) {
        *byte = letter;
    }
    // SAFETY: the attributes are those of the command, which has no pointers.
    let fd = unsafe { bpf(Command::Create, &attributes)? };
    // SAFETY: the kernel has made it for the caller, who has no other name for it.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

/// The id of the map at `index` of an array of maps, if there is one.
///
/// # Errors
/// The kernel refuses, in particular when `outer` is no array of maps.
pub fn inner_id(outer: &MapData, index: u32) -> io::Result<Option<u32>> {
    expect_array_of_maps(outer)?;
    let mut id = 0_u32;
    let result = element(
        Command::Lookup,
        outer.fd().as_fd(),
        index,
        (&raw mut id).cast(),
    );
    match result {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        result => result.map(|()| Some(id)),
    }
}

/// Puts each map at its index of an array of maps. All at once, because each such
/// command waits until no program runs that could see the old map.
///
/// # Errors
/// The kernel refuses, in particular when `outer` is no array of maps; some may
/// have been put there.
pub fn set_inner(outer: &MapData, maps: &[(u32, BorrowedFd<'_>)]) -> io::Result<()> {
    expect_array_of_maps(outer)?;
    let keys: Vec<u32> = maps.iter().map(|(index, _)| *index).collect();
    let mut fds: Vec<i32> = maps.iter().map(|(_, fd)| fd.as_raw_fd()).collect();
    let batch = Batch {
        from: 0,
        until: 0,
        keys: keys.as_ptr() as u64,
        values: fds.as_ptr() as u64,
        count: u32::try_from(maps.len()).map_err(io::Error::other)?,
        map: outer.fd().as_fd().as_raw_fd().cast_unsigned(),
        element_flags: 0,
        flags: 0,
    };
    // SAFETY: the attributes are those of the command. The kernel reads `count`
    // keys and values of four bytes each, as an array of maps has them, and writes
    // to the attributes only.
    match unsafe { bpf(Command::UpdateBatch, &batch) } {
        Ok(_) => Ok(()),
        // Kernels before 5.13 cannot do it all at once.
        Err(_) => keys.iter().zip(&mut fds).try_for_each(|(index, inner)| {
            let inner: *mut i32 = inner;
            element(Command::Update, outer.fd().as_fd(), *index, inner.cast())
        }),
    }
}

fn expect_array_of_maps(map: &MapData) -> io::Result<()> {
    let kind = map.info().and_then(|info| info.map_type());
    match kind {
        Ok(aya::maps::MapType::ArrayOfMaps) => Ok(()),
        _ => Err(io::Error::from(io::ErrorKind::InvalidInput)),
    }
}

/// How many `T` a `V` is.
const fn length<V, T>() -> usize {
    assert!(size_of::<V>().is_multiple_of(size_of::<T>()));
    size_of::<V>() / size_of::<T>()
}

fn fd<V: Pod>(map: &Array<MapData, V>) -> BorrowedFd<'_> {
    IterableMap::<u32, V>::map(map).fd().as_fd()
}

/// A command on one element. `value` points to as many bytes as a value of the map
/// has, writable when they are looked up.
fn element(
    command: Command,
    map: BorrowedFd<'_>,
    index: u32,
    value: *mut libc::c_void,
) -> io::Result<()> {
    let attributes = Element {
        map: map.as_raw_fd().cast_unsigned(),
        pad: 0,
        key: (&raw const index) as u64,
        value: value as u64,
        flags: 0,
    };
    // SAFETY: the attributes are those of both commands, and the key is the u32 of
    // an array. The kernel reads or writes one value: `Array::new` has checked that
    // it has the size of `V`, an array of maps has values of four bytes, and the
    // callers have so much there.
    unsafe { bpf(command, &attributes).map(drop) }
}

/// Calls the kernel; a file descriptor, of commands that return one, else 0.
///
/// # Safety
/// The attributes must be those of the command, and what they point to as large as
/// the command expects.
unsafe fn bpf<A>(command: Command, attributes: &A) -> io::Result<RawFd> {
    // SAFETY: as this function demands; the kernel copies the attributes.
    let result = unsafe {
        libc::syscall(
            libc::SYS_bpf,
            command as libc::c_long,
            std::ptr::from_ref(attributes),
            size_of::<A>(),
        )
    };
    match RawFd::try_from(result) {
        Ok(fd) if fd >= 0 => Ok(fd),
        _ => Err(io::Error::last_os_error()),
    }
}
