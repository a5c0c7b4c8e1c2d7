// What the kernels ask of the device: 16-byte packs of an element type, a fast exponential, and
// clusters. Written without any header, since NVRTC comes with none.

#define INFINITY __int_as_float(0x7f800000)
#define NAN __int_as_float(0x7fffffff)

#ifdef ELEMENT_BFLOAT16
typedef unsigned short Element;

__device__ __forceinline__ float widen(Element bits) {
  return __uint_as_float(static_cast<unsigned>(bits) << 16);
}

__device__ __forceinline__ Element narrow(float value) {
  Element bits;
  asm("cvt.rn.bf16.f32 %0, %1;" : "=h"(bits) : "f"(value));
  return bits;
}
#else
typedef float Element;

__device__ __forceinline__ float widen(Element value) { return value; }

__device__ __forceinline__ Element narrow(float value) { return value; }
#endif

__device__ __forceinline__ float exp2_fast(float x) {
  float y;
  asm("ex2.approx.ftz.f32 %0, %1;" : "=f"(y) : "f"(x));
  return y;
}

#define SHARED_MEMORY(name) extern __shared__ __align__(16) unsigned char name[]

#if __CUDA_ARCH__ >= 900
__device__ __forceinline__ int cluster_rank() {
  int rank;
  asm volatile("mov.u32 %0, %%cluster_ctarank;" : "=r"(rank));
  return rank;
}

__device__ __forceinline__ int cluster_size() {
  int size;
  asm volatile("mov.u32 %0, %%cluster_nctarank;" : "=r"(size));
  return size;
}

__device__ __forceinline__ void cluster_barrier() {
  asm volatile("barrier.cluster.arrive.release;\n\tbarrier.cluster.wait.acquire;" ::
                   : "memory");
}

// The value at the place of `local`, in the shared memory of block `rank` of the cluster.
__device__ __forceinline__ float read_shared(const float* local, int rank) {
  unsigned here = static_cast<unsigned>(__cvta_generic_to_shared(local));
  unsigned there;
  float value;
  asm volatile("mapa.shared::cluster.u32 %0, %1, %2;" : "=r"(there) : "r"(here), "r"(rank));
  asm volatile("ld.shared::cluster.f32 %0, [%1];" : "=f"(value) : "r"(there) : "memory");
  return value;
}
#else
__device__ __forceinline__ int cluster_rank() { return 0; }
__device__ __forceinline__ int cluster_size() { return 1; }
__device__ __forceinline__ void cluster_barrier() { __syncthreads(); }
__device__ __forceinline__ float read_shared(const float* local, int) { return *local; }
#endif
