//! The part of the driver's interface that this device needs, each handle released when it is dropped.
//!
//! A handle makes its context current for its own release; whoever calls a method has made it current before, with
//! [`Context::enter`]. Errors while releasing are dropped: after a kernel fault every call fails, and there is nobody to tell.
//! cudarc's safe layer is not used: it loads modules only together with NVRTC, and keeps errors of one call for the next.

use std::ffi::{CString, c_void};
use std::ptr::NonNull;
use std::sync::Arc;

use cudarc::driver::result::{self, DriverError};
use cudarc::driver::sys;

/// Result of a call of the driver.
pub type Result<T> = std::result::Result<T, DriverError>;

/// A card's primary context, which all engines of the process on this card share.
pub struct Context {
    device: sys::CUdevice,
    context: sys::CUcontext,
}

// SAFETY: a context may be made current on any thread, on several at once.
unsafe impl Send for Context {}
// SAFETY: as above.
unsafe impl Sync for Context {}

impl Context {
    /// The context of card number `index`; the driver was initialised.
    pub fn retain(index: usize) -> Result<Arc<Self>> {
        let index =
            i32::try_from(index).map_err(|_| DriverError(sys::CUresult::CUDA_ERROR_INVALID_DEVICE))?;
        let device = result::device::get(index)?;
        // SAFETY: the device comes from the driver.
        let context = unsafe { result::primary_ctx::retain(device) }?;
        Ok(Arc::new(Context { device, context }))
    }

    /// Makes the context current on this thread until the guard is dropped; then the thread has its own one back.
    pub fn enter(&self) -> Result<Entered<'_>> {
        // SAFETY: the context was retained and is released only with `self`.
        unsafe { sys::cuCtxPushCurrent_v2(self.context) }.result()?;
        Ok(Entered { _context: self, _same_thread: std::marker::PhantomData })
    }

    /// Calls `release` with the context current; its errors are dropped.
    fn release(&self, release: impl FnOnce() -> Result<()>) {
        if let Ok(_entered) = self.enter() {
            let _ = release();
        }
    }
}

impl Drop for Context {
    fn drop(&mut self) {
        // SAFETY: retained once in `retain`; every handle that belongs to it holds an `Arc` and is gone.
        let _ = unsafe { result::primary_ctx::release(self.device) };
    }
}

/// A context that is current on this thread.
pub struct Entered<'a> {
    _context: &'a Context,
    _same_thread: std::marker::PhantomData<*const ()>,
}

impl Drop for Entered<'_> {
    fn drop(&mut self) {
        let mut popped = std::ptr::null_mut();
        // SAFETY: `enter` pushed the context on this thread, and guards nest.
        let _ = unsafe { sys::cuCtxPopCurrent_v2(&mut popped) }.result();
    }
}

/// A stream that does not wait for the legacy default stream, nor that one for it.
pub struct Stream {
    pub raw: sys::CUstream,
    context: Arc<Context>,
}

// SAFETY: a stream belongs to a context, not to a thread.
unsafe impl Send for Stream {}

impl Stream {
    pub fn new(context: &Arc<Context>) -> Result<Self> {
        let raw = result::stream::create(result::stream::StreamKind::NonBlocking)?;
        Ok(Stream { raw, context: context.clone() })
    }

    /// Waits on the host until all work of the stream is done.
    pub fn synchronize(&self) -> Result<()> {
        // SAFETY: the stream is not destroyed before `self` is dropped.
        unsafe { result::stream::synchronize(self.raw) }
    }

    /// Lets what follows in this stream wait for `event`.
    pub fn wait(&self, event: &Event) -> Result<()> {
        // SAFETY: neither is destroyed before it is dropped; the driver keeps what an event meant when it was waited for.
        unsafe {
            result::stream::wait_event(self.raw, event.raw, sys::CUevent_wait_flags::CU_EVENT_WAIT_DEFAULT)
        }
    }
}

impl Drop for Stream {
    fn drop(&mut self) {
        // SAFETY: created in `new`, destroyed once; the driver finishes pending work by itself.
        self.context.release(|| unsafe { result::stream::destroy(self.raw) });
    }
}

/// An event.
pub struct Event {
    raw: sys::CUevent,
    context: Arc<Context>,
}

// SAFETY: an event belongs to a context, not to a thread.
unsafe impl Send for Event {}

impl Event {
    /// One that only orders streams.
    pub fn ordering(context: &Arc<Context>) -> Result<Self> {
        Self::new(context, sys::CUevent_flags::CU_EVENT_DISABLE_TIMING)
    }

    /// One that takes the time.
    pub fn timing(context: &Arc<Context>) -> Result<Self> {
        Self::new(context, sys::CUevent_flags::CU_EVENT_DEFAULT)
    }

    fn new(context: &Arc<Context>, flags: sys::CUevent_flags) -> Result<Self> {
        Ok(Event { raw: result::event::create(flags)?, context: context.clone() })
    }

    /// Happens when the work that is now in `stream` is done.
    pub fn record(&self, stream: &Stream) -> Result<()> {
        // SAFETY: neither is destroyed before it is dropped.
        unsafe { result::event::record(self.raw, stream.raw) }
    }

    /// As [`Event::record`] into a stream that is captured: it happens anew in each run of the graph.
    pub fn record_in_graph(&self, stream: &Stream) -> Result<()> {
        let external = sys::CUevent_record_flags::CU_EVENT_RECORD_EXTERNAL;
        // SAFETY: neither is destroyed before it is dropped; the graph is dropped before its events.
        unsafe { sys::cuEventRecordWithFlags(self.raw, stream.raw, external as u32) }.result()
    }

    /// Milliseconds from this event to `end`; both take the time and have happened.
    pub fn milliseconds_to(&self, end: &Event) -> Result<f32> {
        // SAFETY: neither is destroyed before it is dropped.
        unsafe { result::event::elapsed(self.raw, end.raw) }
    }
}

impl Drop for Event {
    fn drop(&mut self) {
        // SAFETY: created in `new`, destroyed once.
        self.context.release(|| unsafe { result::event::destroy(self.raw) });
    }
}

/// An allocation on the card. The driver aligns it to 256 bytes.
pub struct Memory {
    pub address: sys::CUdeviceptr,
    context: Arc<Context>,
}

impl Memory {
    /// `bytes` bytes, at least one; what is in them is anybody's guess.
    pub fn new(context: &Arc<Context>, bytes: usize) -> Result<Self> {
        // SAFETY: nothing is read from it before it was written.
        let address = unsafe { result::malloc_sync(bytes.max(1)) }?;
        Ok(Memory { address, context: context.clone() })
    }
}

impl Drop for Memory {
    fn drop(&mut self) {
        // SAFETY: allocated in `new`, freed once; the driver waits for work that may use it.
        self.context.release(|| unsafe { result::free_sync(self.address) });
    }
}

/// Host memory that is never paged out, so that kernels can read it and copies need no detour: cached, not write-combined, which is slow to read.
pub struct Pinned {
    /// Where kernels find it.
    pub address: sys::CUdeviceptr,
    values: NonNull<f32>,
    len: usize,
    context: Arc<Context>,
}

// SAFETY: it is memory of the process, owned by this handle alone.
unsafe impl Send for Pinned {}

impl Pinned {
    /// `len` zeros.
    pub fn new(context: &Arc<Context>, len: usize) -> Result<Self> {
        // SAFETY: the values are set below before anyone reads them.
        let values =
            unsafe { result::malloc_host(len.max(1) * size_of::<f32>(), sys::CU_MEMHOSTALLOC_DEVICEMAP) }?;
        let values =
            NonNull::new(values.cast::<f32>()).ok_or(DriverError(sys::CUresult::CUDA_ERROR_OUT_OF_MEMORY))?;
        let mut pinned = Pinned { values, address: 0, len, context: context.clone() };
        // SAFETY: the driver gave `len` values, aligned to a page; it maps all that it pins.
        unsafe {
            values.as_ptr().write_bytes(0, len);
            sys::cuMemHostGetDevicePointer_v2(&mut pinned.address, values.as_ptr().cast(), 0).result()?;
        }
        Ok(pinned)
    }

    /// The values, as the last copy that was waited for left them.
    pub fn values(&self) -> &[f32] {
        // SAFETY: `len` values were allocated and set; whoever starts a copy waits for its end before this can be called.
        unsafe { std::slice::from_raw_parts(self.values.as_ptr(), self.len) }
    }

    /// As [`Pinned::values`], to be written.
    pub fn values_mut(&mut self) -> &mut [f32] {
        // SAFETY: as in `values`.
        unsafe { std::slice::from_raw_parts_mut(self.values.as_ptr(), self.len) }
    }

    /// Copies `values` values from `address` to the beginning when the stream comes to it.
    ///
    /// # Safety
    /// The stream, or every run of the graph that captures it, is waited for before `self` is dropped, written or read; there
    /// are that many values at `address`. It writes behind a shared reference because the copy happens later.
    pub unsafe fn download(&self, values: usize, address: sys::CUdeviceptr, stream: &Stream) -> Result<()> {
        let bytes = values.min(self.len) * size_of::<f32>();
        // SAFETY: the caller's promise; the destination is inside the allocation.
        unsafe { sys::cuMemcpyDtoHAsync_v2(self.values.as_ptr().cast(), address, bytes, stream.raw) }.result()
    }
}

impl Drop for Pinned {
    fn drop(&mut self) {
        // SAFETY: allocated in `new`, freed once.
        self.context.release(|| unsafe { result::free_host(self.values.as_ptr().cast::<c_void>()) });
    }
}

/// Loaded code.
pub struct Module {
    raw: sys::CUmodule,
    context: Arc<Context>,
}

// SAFETY: a module belongs to a context, not to a thread.
unsafe impl Send for Module {}

impl Module {
    /// Loads machine code, or PTX, whose text ends with a zero.
    ///
    /// # Safety
    /// `code` is a whole image from NVRTC.
    pub unsafe fn load(context: &Arc<Context>, code: &[u8]) -> Result<Self> {
        // SAFETY: the caller's promise; the driver copies what it needs.
        let raw = unsafe { result::module::load_data(code.as_ptr().cast()) }?;
        Ok(Module { raw, context: context.clone() })
    }

    /// The kernel called `name` and the threads that a block of it may have here. It is loaded when this returns, even
    /// where the driver loads lazily, which must not happen during a capture.
    pub fn function(&self, name: &str) -> Result<(Function, u32)> {
        let name = CString::new(name).map_err(|_| DriverError(sys::CUresult::CUDA_ERROR_NOT_FOUND))?;
        let threads = sys::CUfunction_attribute_enum::CU_FUNC_ATTRIBUTE_MAX_THREADS_PER_BLOCK;
        // SAFETY: the module is loaded; so is the function that it gives.
        unsafe {
            let raw = result::module::get_function(self.raw, name)?;
            let threads = result::function::get_function_attribute(raw, threads)?;
            Ok((Function { raw }, threads.max(0) as u32))
        }
    }
}

impl Drop for Module {
    fn drop(&mut self) {
        // SAFETY: loaded in `load`, unloaded once; work that runs its kernels was waited for.
        self.context.release(|| unsafe { result::module::unload(self.raw) });
    }
}

/// A kernel of a module; of no use when the module is gone.
#[derive(Clone, Copy)]
pub struct Function {
    pub raw: sys::CUfunction,
}

// SAFETY: a function belongs to a module, not to a thread.
unsafe impl Send for Function {}

/// A stream that records instead of running. Dropped before its end it throws away what it recorded.
pub struct Capture<'a> {
    stream: &'a Stream,
}

impl<'a> Capture<'a> {
    /// Begins on `stream`; streams that wait for its events join in. Calls that a capture forbids are forbidden to this
    /// thread only.
    pub fn begin(stream: &'a Stream) -> Result<Self> {
        let mode = sys::CUstreamCaptureMode::CU_STREAM_CAPTURE_MODE_THREAD_LOCAL;
        // SAFETY: the stream is not destroyed before it is dropped.
        unsafe { result::stream::begin_capture(stream.raw, mode) }?;
        Ok(Capture { stream })
    }

    /// Ends; every stream that joined in has been waited for. The result is ready to be launched.
    pub fn end(self) -> Result<Graph> {
        let stream = self.stream;
        std::mem::forget(self);
        // SAFETY: `begin` began on this stream and, since a capture is not `Send`, on this thread.
        let graph = unsafe { result::stream::end_capture(stream.raw) }?;
        if graph.is_null() {
            return Err(DriverError(sys::CUresult::CUDA_ERROR_STREAM_CAPTURE_INVALIDATED));
        }
        // SAFETY: the graph is valid and destroyed once; what is made of it does not need it.
        unsafe {
            let executable = result::graph::instantiate(graph, sys::CUgraphInstantiate_flags(0));
            let _ = result::graph::destroy(graph);
            Ok(Graph { raw: executable?, context: stream.context.clone() })
        }
    }
}

impl Drop for Capture<'_> {
    fn drop(&mut self) {
        // SAFETY: as in `end`. A capture that failed gives an error and no graph.
        unsafe {
            if let Ok(graph) = result::stream::end_capture(self.stream.raw)
                && !graph.is_null()
            {
                let _ = result::graph::destroy(graph);
            }
        }
    }
}

/// A captured sequence of work, ready to be launched.
pub struct Graph {
    raw: sys::CUgraphExec,
    context: Arc<Context>,
}

// SAFETY: a graph belongs to no thread; it is used by one at a time.
unsafe impl Send for Graph {}

impl Graph {
    /// Puts all its work into `stream`.
    ///
    /// # Safety
    /// Memory, pinned memory and modules that the capture used are still there, and stay until the stream was waited for.
    pub unsafe fn launch(&self, stream: &Stream) -> Result<()> {
        // SAFETY: the caller's promise; graph and stream are not destroyed before they are dropped.
        unsafe { result::graph::launch(self.raw, stream.raw) }
    }
}

impl Drop for Graph {
    fn drop(&mut self) {
        // SAFETY: instantiated in `Capture::end`, destroyed once.
        self.context.release(|| unsafe { result::graph::exec_destroy(self.raw) });
    }
}
