// Row arithmetic of the linear losses; `torch_rows.py` says the same in torch. Sums are float32 and
// in a fixed order, so that two runs agree to the last bit. THREADS is a multiple of 32.

constexpr float LOG2_E = 1.4426950408889634f;
constexpr float LN_2 = 0.6931471805599453f;
constexpr int PACK = 16 / sizeof(Element);
constexpr int WARPS = THREADS / 32;

struct alignas(16) Pack {
  Element at[PACK];
};

// Σ exp(x) so far, as exp(top) * sum. A NaN is no top, and makes the sum NaN.
struct Exponentials {
  float top, sum;

  __device__ __forceinline__ void add(Exponentials other) {
    float highest = fmaxf(top, other.top);
    float from = origin(highest);
    sum = sum * exp2_fast((top - from) * LOG2_E) +
          other.sum * exp2_fast((other.top - from) * LOG2_E);
    top = highest;
  }

  // What to subtract from x before the exponential: nothing where every x is -infinity or NaN.
  static __device__ __forceinline__ float origin(float top) {
    return top == -INFINITY ? 0.f : top;
  }
};

// One row of logits per cluster of blocks; block `rank` has the entries [rank * slice, ...), a
// multiple of PACK. Where a slice fits behind the scratch in shared memory (`staged`), global
// memory is read once, else twice.
//
//   z                (rows, stride) buffer in the units of `Head`; overwritten if alpha is given.
//                    Rows start at multiples of 16 bytes, so that what pads them may be touched.
//   q                exact logit of the target over the temperature, which stands in its place
//   alpha, beta      of dL/dV = alpha + beta V, or null
//   cap              softcap over temperature, 0 for none
//   value            V = temperature * log Σ exp
//   best             whether no logit is larger than the target's
extern "C" __global__ void __launch_bounds__(THREADS)
softmax_rows(Element* z, long long stride, int vocabulary, int slice, int staged, const float* q,
             const long long* target, const float* alpha, const float* beta, float temperature,
             float logit_scale, float cap, float* value, unsigned char* best) {
  SHARED_MEMORY(memory);
  float* tops = reinterpret_cast<float*>(memory);        // of the warps
  float* sums = tops + WARPS;                            // of the warps
  float* block_total = sums + WARPS;                     // top and sum of this block
  Pack* stage = reinterpret_cast<Pack*>(memory + SCRATCH_BYTES);

  const int rank = cluster_rank(), blocks = cluster_size();
  const long long row = blockIdx.x / blocks;
  const int start = min(rank * slice, vocabulary), end = min(start + slice, vocabulary);
  Pack* packs = reinterpret_cast<Pack*>(z + row * stride + start);
  const int count = (end - start + PACK - 1) / PACK;
  const int of_target = static_cast<int>(target[row]) - start;
  const float exact = q[row];

  Exponentials mine = {-INFINITY, 0.f};
#pragma unroll 2
  for (int i = threadIdx.x; i < count; i += THREADS) {
    Pack pack = packs[i];
    if (staged) stage[i] = pack;
    float x[PACK];
    Exponentials here = {-INFINITY, 0.f};
#pragma unroll
    for (int k = 0; k < PACK; k++) {
      int entry = i * PACK + k;
      x[k] = widen(pack.at[k]);
      if (cap != 0.f) x[k] = cap * tanhf(x[k]);
      if (entry == of_target) x[k] = exact;
      if (entry >= end - start) x[k] = -INFINITY;
      here.top = fmaxf(here.top, x[k]);
    }
    const float from = Exponentials::origin(here.top);
#pragma unroll
    for (int k = 0; k < PACK; k++) here.sum += exp2_fast((x[k] - from) * LOG2_E);
    mine.add(here);
  }

  for (int lane = 16; lane > 0; lane /= 2) {
    float top = __shfl_xor_sync(0xffffffffu, mine.top, lane);
    float sum = __shfl_xor_sync(0xffffffffu, mine.sum, lane);
    mine.add({top, sum});
  }
  if (threadIdx.x % 32 == 0) {
    tops[threadIdx.x / 32] = mine.top;
    sums[threadIdx.x / 32] = mine.sum;
  }
  __syncthreads();
  if (threadIdx.x == 0) {
    Exponentials all = {-INFINITY, 0.f};
    for (int warp = 0; warp < WARPS; warp++) all.add({tops[warp], sums[warp]});
    block_total[0] = all.top;
    block_total[1] = all.sum;
  }
  cluster_barrier();
  Exponentials all = {-INFINITY, 0.f};
  for (int other = 0; other < blocks; other++)
    all.add({read_shared(block_total, other), read_shared(block_total + 1, other)});
  cluster_barrier();  // no block may leave while another reads its shared memory

  const float log_sum = all.top + LN_2 * log2f(all.sum);
  const float row_value = temperature * log_sum;
  if (rank == 0 && threadIdx.x == 0) {
    value[row] = row_value;
    best[row] = exact >= all.top;
  }
  if (alpha == nullptr) return;

  const float push = (alpha[row] + beta[row] * row_value) * logit_scale;
#pragma unroll 2
  for (int i = threadIdx.x; i < count; i += THREADS) {
    Pack pack = staged ? stage[i] : packs[i];
#pragma unroll
    for (int k = 0; k < PACK; k++) {
      float x = widen(pack.at[k]), slope = push;
      if (cap != 0.f) {
        float t = tanhf(x);
        x = cap * t;
        slope *= 1.f - t * t;
      }
      pack.at[k] = narrow(slope * exp2_fast((x - log_sum) * LOG2_E));
    }
    packs[i] = pack;
  }
}

// out[t] = <x[rows[t]], w[target[t]]>, one warp per row; `rows` is null for rows[t] = t. NaN if the
// target is no row of w. `packed` says that rows of x and w start at multiples of 16 bytes.
extern "C" __global__ void __launch_bounds__(THREADS)
target_products(const Element* x, const Element* w, const long long* target, const long long* rows,
                long long count, long long vocabulary, int width, int packed, float* out) {
  const long long row = static_cast<long long>(blockIdx.x) * WARPS + threadIdx.x / 32;
  if (row >= count) return;
  const int lane = threadIdx.x % 32;
  const long long token = target[row];
  if (token < 0 || token >= vocabulary) {
    if (lane == 0) out[row] = NAN;
    return;
  }
  const Element* a = x + (rows == nullptr ? row : rows[row]) * width;
  const Element* b = w + token * width;
  float sum = 0.f;
  if (packed) {
    const Pack* a_packs = reinterpret_cast<const Pack*>(a);
    const Pack* b_packs = reinterpret_cast<const Pack*>(b);
    for (int i = lane; i < width / PACK; i += 32) {
      Pack a_pack = a_packs[i], b_pack = b_packs[i];
#pragma unroll
      for (int k = 0; k < PACK; k++) sum = fmaf(widen(a_pack.at[k]), widen(b_pack.at[k]), sum);
    }
  } else {
    for (int i = lane; i < width; i += 32) sum = fmaf(widen(a[i]), widen(b[i]), sum);
  }
  for (int other = 16; other > 0; other /= 2) sum += __shfl_xor_sync(0xffffffffu, sum, other);
  if (lane == 0) out[row] = sum;
}

// gradient *= factor, without touching it if factor is 1. `gradient` starts at a multiple of 16
// bytes and has `count` entries.
extern "C" __global__ void __launch_bounds__(THREADS)
scale(Element* gradient, const float* factor, long long count) {
  const float by = *factor;
  if (by == 1.f) return;
  const long long first = static_cast<long long>(blockIdx.x) * THREADS + threadIdx.x;
  const long long step = static_cast<long long>(gridDim.x) * THREADS;
  Pack* packs = reinterpret_cast<Pack*>(gradient);
  for (long long i = first; i < count / PACK; i += step) {
    Pack pack = packs[i];
#pragma unroll
    for (int k = 0; k < PACK; k++) pack.at[k] = narrow(by * widen(pack.at[k]));
    packs[i] = pack;
  }
  for (long long i = count / PACK * PACK + first; i < count; i += step)
    gradient[i] = narrow(by * widen(gradient[i]));
}
