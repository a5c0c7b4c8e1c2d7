// Runs the CUDA kernels on a CPU: one fiber per thread, taking turns at every barrier. It stands in
// for device.cuh and proves indices, reductions and arithmetic; not memory order, and not speed.
#include <ucontext.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <functional>
#include <vector>

#define __device__
#define __global__
#define __forceinline__ inline
#define __launch_bounds__(threads)
using std::min;

struct Index {
  unsigned x;
};
static Index threadIdx, blockIdx, gridDim;

struct Barrier {
  int arrived = 0, generation = 0;
};
struct Block {
  std::vector<unsigned char> memory;
  Barrier barrier;
  std::vector<Barrier> warps;
  std::vector<float> lanes;
};
static std::vector<Block> cluster_blocks;
static Barrier cluster_wide;
static int rank_now;
static ucontext_t scheduler, *fiber_now;

static void wait_for(Barrier& barrier, int count) {
  Index thread = threadIdx, block = blockIdx;
  int rank = rank_now, generation = barrier.generation;
  if (++barrier.arrived == count) {
    barrier.arrived = 0;
    barrier.generation++;
    return;
  }
  while (barrier.generation == generation) {
    swapcontext(fiber_now, &scheduler);
    threadIdx = thread, blockIdx = block, rank_now = rank;
  }
}

static void __syncthreads() { wait_for(cluster_blocks[rank_now].barrier, THREADS); }

static float __shfl_xor_sync(unsigned, float value, int other) {
  Block& block = cluster_blocks[rank_now];
  unsigned thread = threadIdx.x;
  block.lanes[thread] = value;
  wait_for(block.warps[thread / 32], 32);
  float answer = block.lanes[thread ^ other];
  wait_for(block.warps[thread / 32], 32);
  return answer;
}

static int cluster_rank() { return rank_now; }
static int cluster_size() { return static_cast<int>(cluster_blocks.size()); }
static void cluster_barrier() { wait_for(cluster_wide, THREADS * cluster_size()); }
static float read_shared(const float* local, int rank) {
  auto here = reinterpret_cast<const unsigned char*>(local) - cluster_blocks[rank_now].memory.data();
  float value;
  std::memcpy(&value, cluster_blocks[rank].memory.data() + here, sizeof value);
  return value;
}
static float exp2_fast(float x) { return std::exp2(x); }
#define SHARED_MEMORY(name) unsigned char* name = cluster_blocks[rank_now].memory.data()

#ifdef ELEMENT_BFLOAT16
typedef unsigned short Element;
static float widen(Element bits) {
  unsigned wide = static_cast<unsigned>(bits) << 16;
  float value;
  std::memcpy(&value, &wide, sizeof value);
  return value;
}
static Element narrow(float value) {  // to nearest, ties to even
  unsigned bits;
  std::memcpy(&bits, &value, sizeof bits);
  return static_cast<Element>((bits + 0x7fff + ((bits >> 16) & 1)) >> 16);
}
#else
typedef float Element;
static float widen(Element value) { return value; }
static Element narrow(float value) { return value; }
#endif

#include KERNELS

static std::function<void()> kernel;
struct Fiber {
  ucontext_t context;
  std::vector<char> stack = std::vector<char>(1 << 15);
  Index thread, block;
  int rank;
  bool done = false;
};
static Fiber* starting;

static void start() {
  Fiber* fiber = starting;
  kernel();
  fiber->done = true;
}

// Run `clusters` clusters of `size` blocks, one cluster after another.
static void run(int clusters, int size, int shared_bytes) {
  gridDim.x = clusters * size;
  for (int cluster = 0; cluster < clusters; cluster++) {
    cluster_wide = Barrier();
    cluster_blocks.assign(size, Block());
    std::vector<Fiber> fibers(size * THREADS);
    for (int i = 0; i < size * THREADS; i++) {
      Block& block = cluster_blocks[i / THREADS];
      block.memory.resize(shared_bytes, 0xff);  // NaN until written
      block.warps.resize(THREADS / 32);
      block.lanes.resize(THREADS);
      Fiber& fiber = fibers[i];
      fiber.thread.x = i % THREADS;
      fiber.rank = i / THREADS;
      fiber.block.x = cluster * size + fiber.rank;
      getcontext(&fiber.context);
      fiber.context.uc_stack.ss_sp = fiber.stack.data();
      fiber.context.uc_stack.ss_size = fiber.stack.size();
      fiber.context.uc_link = &scheduler;
      makecontext(&fiber.context, start, 0);
    }
    for (bool busy = true; busy;) {
      busy = false;
      for (Fiber& fiber : fibers) {
        if (fiber.done) continue;
        busy = true;
        starting = &fiber, fiber_now = &fiber.context;
        threadIdx = fiber.thread, blockIdx = fiber.block, rank_now = fiber.rank;
        swapcontext(&scheduler, &fiber.context);
      }
    }
  }
}

extern "C" void run_softmax_rows(int clusters, int size, int shared_bytes, Element* z,
                                 long long stride, int vocabulary, int slice, int staged,
                                 const float* q, const long long* target, const float* alpha,
                                 const float* beta, float temperature, float logit_scale,
                                 float cap, float* value, unsigned char* best) {
  kernel = [=] {
    softmax_rows(z, stride, vocabulary, slice, staged, q, target, alpha, beta, temperature,
                 logit_scale, cap, value, best);
  };
  run(clusters, size, shared_bytes);
}

extern "C" void run_target_products(int blocks, const Element* x, const Element* w,
                                    const long long* target, const long long* rows,
                                    long long count, long long vocabulary, int width, int packed,
                                    float* out) {
  kernel = [=] { target_products(x, w, target, rows, count, vocabulary, width, packed, out); };
  run(blocks, 1, 0);
}

extern "C" void run_scale(int blocks, Element* gradient, const float* factor, long long count) {
  kernel = [=] { scale(gradient, factor, count); };
  run(blocks, 1, 0);
}
