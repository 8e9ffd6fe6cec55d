// What the three norm_act_pool kernels share: their arguments, and the walk over pixels.
//
// A *segment* is the run of images that share statistics (one image, or the whole batch), a *set* the run of neighbouring channels that do
// (one channel, or a group's). An image is walked in *cells*: the windows of the pool, and at an odd border what is left of one.
//   instance norm: one block per image and tile of channels sums, finishes and writes. It keeps its tile in shared memory where that fits,
//     every thread its own pixels, and otherwise reads it again, from the second-level cache if all goes well.
//   group norm: the same forward, where such a tile holds whole sets of channels; otherwise, and in its gradients, as
//   batch norm: partial sums per part of a segment; the sets finished by one warp each; then every image is written.
#pragma once
#include "native/cuda/kernels/channels.cuh"

namespace aludel::cuda {

constexpr int kGroupNorm = 1, kBatchNorm = 2;  // attribute kind; 0 is instance norm

struct NormShape {
  int64_t G, N;
  int H, W, C, OH, OW;
  int CH, CW;     // cells
  int64_t cells;  // of an image
  int pool;       // window and stride of the average pool: 1 (none) or 2
  int relu, power;
  double eps;
  int kind, set_channels, sets;
  const float* row_weights;  // [G,N] or null: rows of weight 0 take no part

  __host__ __device__ int64_t image_elements() const { return static_cast<int64_t>(H) * W * C; }
  __host__ __device__ int64_t out_elements() const { return static_cast<int64_t>(OH) * OW * C; }
  __host__ __device__ int64_t segments() const { return kind == kBatchNorm ? G : G * N; }
  __host__ __device__ int64_t segment_images() const { return kind == kBatchNorm ? N : 1; }
};

// Attributes and x have been checked. weights_at: the position of the optional rowWeights, the last input where it is there.
inline NormShape norm_shape(const KernelArgs& args, int weights_at) {
  NormShape s{};
  const TensorRef& x = args.in[0];
  s.G = x.dims[0], s.N = x.dims[1];
  s.H = static_cast<int>(x.dims[2]), s.W = static_cast<int>(x.dims[3]), s.C = static_cast<int>(x.dims[4]);
  s.kind = static_cast<int>(args.attrs[0]);
  s.eps = args.attrs[2];
  s.relu = args.attrs[3] != 0;
  s.pool = args.attrs[4] != 0 ? 2 : 1;
  s.power = args.nattrs > 5 ? static_cast<int>(args.attrs[5]) : 0;
  s.OH = s.H / s.pool, s.OW = s.W / s.pool;
  s.CH = (s.H + s.pool - 1) / s.pool, s.CW = (s.W + s.pool - 1) / s.pool;
  s.cells = static_cast<int64_t>(s.CH) * s.CW;
  s.set_channels = s.kind == kGroupNorm ? s.C / static_cast<int>(args.attrs[1]) : 1;
  s.sets = s.C / s.set_channels;
  s.row_weights = args.nin == weights_at + 1 ? args.in[weights_at].as<const float>() : nullptr;
  return s;
}

// Heights, widths and numbers of channels are 32-bit here.
inline Status check_norm(const KernelArgs& args) {
  for (int axis = 2; axis < 5; ++axis)
    if (args.in[0].dims[axis] >= (int64_t{1} << 31))
      return fail(Code::invalid_program, "norm_act_pool: expected at most 2^31 - 1 rows, columns and channels, got %lld at axis %d",
                  static_cast<long long>(args.in[0].dims[axis]), axis);
  return {};
}

// How the threads of a block are laid over a tile of channels and the cells of a segment.
struct NormTiling {
  int lanes, rows, tiles;  // vectors of channels side by side, rows of threads (kThreads / lanes), tiles of channels
  int kept;                // vectors that every thread keeps in shared memory; 0: none are kept
  int64_t dn;              // what `rows` cells are in images, rows and columns of cells
  int dh, dw;
};

inline NormTiling tiling_with(const NormShape& s, int vw, int lanes) {
  NormTiling t{};
  t.lanes = lanes, t.rows = kThreads / lanes;
  t.tiles = static_cast<int>(ceil_div(s.C, lanes * vw));
  t.dn = t.rows / s.cells;
  const int rest = static_cast<int>(t.rows % s.cells);
  t.dh = rest / s.CW, t.dw = rest % s.CW;
  return t;
}

constexpr int64_t kKeptBytes = 80 * 1024;       // of a block: two or three blocks on a multiprocessor read and write in turns
constexpr int64_t kMostKeptBytes = 128 * 1024;  // rather one block alone than a second pass over memory

// One block per image and tile. Neighbouring threads read 128 bytes of a pixel where the map is small, down to one sector of 32 where only
// so few channels of it can be kept; vectors_per_cell: what is kept of a cell. Where nothing is kept sets of channels may cross tiles.
inline NormTiling image_tiling(const NormShape& s, int vw, int vectors_per_cell, const DeviceInfo& device) {
  const int widest = power_of_two_above(ceil_div(s.C, vw), 32), narrowest = 8 / vw;
  constexpr int64_t kSumBytes = 384;  // of a channel, at most
  for (const int64_t limit : {kKeptBytes, kMostKeptBytes})
    for (int lanes = widest;; lanes /= 2) {
      const int64_t vectors = ceil_div(s.cells, kThreads / lanes) * vectors_per_cell, bytes = vectors * kThreads * vw * 4;
      const int tile = lanes * vw;
      const bool whole_sets = tile >= s.C || tile % s.set_channels == 0;
      if (whole_sets && bytes <= limit && bytes <= device.shared_bytes - kSumBytes * tile) {
        NormTiling t = tiling_with(s, vw, lanes);
        t.kept = static_cast<int>(vectors);
        return t;
      }
      if (lanes <= narrowest) break;
    }
  return tiling_with(s, vw, widest < 8 ? widest : 8);
}

// Units of work of one block each.
inline dim3 unit_grid(int64_t units) { return dim3(static_cast<unsigned>(units < (1 << 30) ? units : 1 << 30)); }

// A thread's cells: every `rows`-th of a range of the cells of a segment, in order.
struct Cells {
  int64_t left;  // cells of the range from this one on
  int64_t n;     // image of the segment
  int h, w;

  __device__ __forceinline__ Cells(const NormShape& s, int64_t first, int64_t count, int row) : left(count - row) {
    int64_t q = first + row;
    n = q < s.cells ? 0 : q / s.cells;
    q -= n * s.cells;
    if (s.cells < (int64_t{1} << 31)) {
      h = static_cast<int>(static_cast<unsigned>(q) / static_cast<unsigned>(s.CW));
    } else {
      h = static_cast<int>(q / s.CW);
    }
    w = static_cast<int>(q - static_cast<int64_t>(h) * s.CW);
  }
  __device__ __forceinline__ void step(const NormShape& s, const NormTiling& t) {
    left -= t.rows;
    w += t.dw, h += t.dh, n += t.dn;
    if (w >= s.CW) w -= s.CW, ++h;
    if (h >= s.CH) h -= s.CH, ++n;
  }
};

// A cell as a thread looks at it: which pixels there are, where they lie (in elements from the segment's first, this thread's channel
// included), and whether the pool makes an output of it.
template <int P>
struct Cell {
  bool there, full;
  int64_t at, out;
  int64_t pixel;  // the first one's position in the image
  bool right, below;

  __device__ __forceinline__ Cell(const NormShape& s, const Cells& cells, bool lane_used, int channel, const float* weights) {
    there = lane_used && cells.left > 0 && (weights == nullptr || weights[cells.n] != 0.0f);
    const int64_t row = cells.n * s.H + static_cast<int64_t>(cells.h) * P;
    at = (row * s.W + static_cast<int64_t>(cells.w) * P) * s.C + channel;
    right = P == 1 || cells.w * P + 1 < s.W;
    below = P == 1 || cells.h * P + 1 < s.H;
    full = there && right && below;
    out = ((cells.n * s.OH + cells.h) * s.OW + cells.w) * s.C + channel;
    pixel = static_cast<int64_t>(cells.h) * P * s.W + cells.w * P;
  }
  __device__ __forceinline__ bool has(int k) const { return there && (k % P == 0 || right) && (k / P == 0 || below); }
  __device__ __forceinline__ int64_t pixel_at(const NormShape& s, int k) const {
    return at + (static_cast<int64_t>(k / P) * s.W + k % P) * s.C;
  }
};

// Segment, part of it and tile of a unit of work: tiles side by side, so that blocks that share lines run at one time.
struct NormUnit {
  int64_t segment;
  int part, tile;

  __device__ __forceinline__ NormUnit(int64_t unit, int parts, int tiles) {
    const int64_t rest = unit / tiles;
    tile = static_cast<int>(unit - rest * tiles);
    segment = rest / parts;
    part = static_cast<int>(rest - segment * parts);
  }
};

// Parts of a segment in group and batch norm: enough for a device, each worth its start.
inline int segment_parts(const NormShape& s, const NormTiling& t) {
  constexpr int64_t kBlocks = 2048;
  const int64_t worth = s.segment_images() * s.cells / (int64_t{8} * t.rows), wanted = kBlocks / (s.segments() * t.tiles);
  const int64_t parts = worth < wanted ? worth : wanted;
  return static_cast<int>(parts < 1 ? 1 : parts);
}
inline NormTiling segment_tiling(const NormShape& s, int vw) { return tiling_with(s, vw, power_of_two_above(ceil_div(s.C, vw), 32)); }

// Zeros for an image of weight 0: its map of outputs, or of pixels, or both.
template <int P, int VW>
__device__ __forceinline__ void leave_out(const NormShape& s, const NormTiling& t, float* out, float* pixels, Cells cells, bool used,
                                          int channel) {
  for (; cells.left > 0; cells.step(s, t)) {
    const Cell<P> cell(s, cells, used, channel, nullptr);
    if (out != nullptr && cell.full) store(out + cell.out, zeros<VW>());
    if (pixels != nullptr)
#pragma unroll
      for (int k = 0; k < P * P; ++k)
        if (cell.has(k)) store(pixels + cell.pixel_at(s, k), zeros<VW>());
  }
}

__device__ __forceinline__ int64_t part_begin(int64_t cells, int part, int parts) { return cells * part / parts; }

}  // namespace aludel::cuda
