// The order of work that the three norm_act_pool kernels share, and the memory they do it in.
//
// A kernel is a struct K of static functions over per-channel rows of numbers:
//   begin(t, args, s, g, n)              coefficients that sum_image needs; image n is the segment's first. The sums are zero.
//   sum_image(t, args, s, g, n, count)   adds image n to the segment's sums, which hold `count` elements per channel.
//   join(t, sums, s, count, added)       adds another chunk's sums to t's.
//   finish(t, args, s, g, n, count)      from a segment's sums: its share of the totals, and the coefficients that write_image needs.
//   write_image(t, args, s, g, n)        writes image n's outputs.
//   leave_out(args, s, g, n)             the same for an image of weight 0.
//   put_totals(t, args, s, g)            writes the outputs that are sums over images.
//   spare_bytes(s)                       what write_image needs at t.spare: the task's own, contents undefined.
// K::kRows says how many rows there are; kWeightsAt is the position of rowWeights among the inputs.
#pragma once
#include "native/cpu/kernels/norm.h"

namespace aludel::cpu::ALUDEL_ISA {

struct RowCounts {
  int sums, totals, means, coefficients;
};

// Per-channel rows, s.lanes long.
struct Rows {
  double* sums;    // over a segment
  double* totals;  // over the images of a chunk
  double* means;   // over sets; only within finish
  float* coefficients;
  int64_t lanes;
  void* spare;

  ALUDEL_INLINE Rows(void* memory, const RowCounts& rows, int64_t length) : sums(static_cast<double*>(memory)), lanes(length) {
    totals = sums + rows.sums * length;
    means = totals + rows.totals * length;
    coefficients = reinterpret_cast<float*>(means + rows.means * length);
    spare = static_cast<char*>(memory) + bytes(rows, length);
  }
  ALUDEL_INLINE static int64_t bytes(const RowCounts& rows, int64_t length) {
    return round_up(
        length * ((rows.sums + rows.totals + rows.means) * (int64_t)sizeof(double) + rows.coefficients * (int64_t)sizeof(float)), 64);
  }
  ALUDEL_INLINE double* sum(int row) const { return sums + row * lanes; }
  ALUDEL_INLINE double* total(int row) const { return totals + row * lanes; }
  ALUDEL_INLINE double* mean(int row) const { return means + row * lanes; }
  ALUDEL_INLINE float* coefficient(int row) const { return coefficients + row * lanes; }
};

// What tasks leave for one another: every chunk's totals or, in batch norm, its sums; and batch norm's rows of every g.
struct SharedRows {
  char* data;
  int64_t chunks, part_bytes, parts, rows_bytes;

  ALUDEL_INLINE SharedRows(const NormShape& s, const RowCounts& rows, void* memory)
      : data(static_cast<char*>(memory)),
        chunks(s.chunks),
        part_bytes(round_up((s.batch ? rows.sums : rows.totals) * s.lanes * (int64_t)sizeof(double), 64)),
        parts(s.G * s.chunks),
        rows_bytes(s.batch ? Rows::bytes(rows, s.lanes) : 0) {}
  ALUDEL_INLINE int64_t bytes(int64_t groups) const { return parts * part_bytes + groups * rows_bytes; }
  ALUDEL_INLINE double* part(int64_t g, int64_t chunk) const { return reinterpret_cast<double*>(data + (g * chunks + chunk) * part_bytes); }
  ALUDEL_INLINE void* rows(int64_t g) const { return data + bytes(g); }
};

// No rows may have no address at all.
ALUDEL_INLINE void zero(double* rows, int64_t n) {
  if (n > 0) __builtin_memset(rows, 0, (size_t)n * sizeof(double));
}

ALUDEL_INLINE void add_rows(double* to, const double* from, int64_t n) {
  for (int64_t i = 0; i < n; ++i) to[i] += from[i];
}

// Gives every channel of a set the mean of the set's channels.
ALUDEL_INLINE void average_sets(const NormShape& s, double* row) {
  if (s.set_channels == 1) return;
  for (int64_t c0 = 0; c0 < s.C; c0 += s.set_channels) {
    double sum = 0;
    for (int64_t c = c0; c < c0 + s.set_channels; ++c) sum += row[c];
    for (int64_t c = c0; c < c0 + s.set_channels; ++c) row[c] = sum / (double)s.set_channels;
  }
}

// From one number per set to one per channel, and back.
ALUDEL_INLINE void spread_sets(const NormShape& s, const float* sets, float* row) {
  if (s.set_channels == 1) return (void)__builtin_memcpy(row, sets, (size_t)s.C * sizeof(float));
  for (int64_t c0 = 0, set = 0; c0 < s.C; c0 += s.set_channels, ++set)
    for (int64_t c = c0; c < c0 + s.set_channels; ++c) row[c] = sets[set];
}
ALUDEL_INLINE void gather_sets(const NormShape& s, const float* row, float* sets) {
  if (s.set_channels == 1) return (void)__builtin_memcpy(sets, row, (size_t)s.C * sizeof(float));
  for (int64_t c = 0, set = 0; c < s.C; c += s.set_channels, ++set) sets[set] = row[c];
}

// The coefficients of d = x - mean and z = d scale + shift, from the gradient kernels' inputs.
ALUDEL_INLINE void begin_grad(const KernelArgs& args, const NormShape& s, int64_t g, int64_t n, float* mean, float* rstd,
                              float* __restrict scale, float* __restrict shift) {
  const float* __restrict gamma = args.in[1].as<const float>() + g * s.C;
  const float* __restrict beta = args.in[2].as<const float>() + g * s.C;
  spread_sets(s, args.in[3].as<const float>() + s.statistics(g, n), mean);
  spread_sets(s, args.in[4].as<const float>() + s.statistics(g, n), rstd);
  for (int64_t c = 0; c < s.C; ++c) {
    scale[c] = gamma[c] * rstd[c];
    shift[c] = beta[c];
  }
}

ALUDEL_INLINE void round_row(const double* row, float* to, int64_t n) {
  for (int64_t c = 0; c < n; ++c) to[c] = (float)row[c];
}

// Instance and group norm: an image is finished and written while it is in cache.
template <typename K>
ALUDEL_INLINE void run_images(const KernelArgs& args, const NormShape& s, const SharedRows& shared, Exec& exec) {
  parallel_for(exec, s.G * s.chunks, [&](int64_t task, void* scratch) {
    const int64_t g = task / s.chunks, chunk = task % s.chunks;
    Rows t(scratch, K::kRows, s.lanes);
    t.totals = shared.part(g, chunk);
    zero(t.totals, K::kRows.totals * s.lanes);
    for (int64_t n = s.first_image(chunk); n < s.first_image(chunk + 1); ++n) {
      zero(t.sums, K::kRows.sums * s.lanes);
      K::begin(t, args, s, g, n);
      K::sum_image(t, args, s, g, n, 0);
      K::finish(t, args, s, g, n, (double)s.pixels());
      K::write_image(t, args, s, g, n);
    }
  });
  if (K::kRows.totals == 0) return;
  for (int64_t g = 0; g < s.G; ++g) {
    double* totals = shared.part(g, 0);
    for (int64_t chunk = 1; chunk < s.chunks; ++chunk) add_rows(totals, shared.part(g, chunk), K::kRows.totals * s.lanes);
    K::put_totals(totals, args, s, g);
  }
}

// Batch norm in three phases: the sums of every chunk, their join, the outputs.
template <typename K>
ALUDEL_INLINE void run_batch(const KernelArgs& args, const NormShape& s, const SharedRows& shared, Exec& exec) {
  parallel_for(exec, s.G * s.chunks, [&](int64_t task, void* scratch) {
    const int64_t g = task / s.chunks, chunk = task % s.chunks;
    Rows t(scratch, K::kRows, s.lanes);
    t.sums = shared.part(g, chunk);
    zero(t.sums, K::kRows.sums * s.lanes);
    K::begin(t, args, s, g, 0);
    double count = 0;
    for (int64_t n = s.first_image(chunk); n < s.first_image(chunk + 1); ++n) {
      if (!s.takes_part(g, n)) continue;
      K::sum_image(t, args, s, g, n, count);
      count += (double)s.pixels();
    }
  });
  for (int64_t g = 0; g < s.G; ++g) {
    Rows all(shared.rows(g), K::kRows, s.lanes);
    all.sums = shared.part(g, 0);
    zero(all.totals, K::kRows.totals * s.lanes);
    double count = s.count(g, 0, s.first_image(1));
    for (int64_t chunk = 1; chunk < s.chunks; ++chunk) {
      const double added = s.count(g, s.first_image(chunk), s.first_image(chunk + 1));
      if (added > 0) K::join(all, shared.part(g, chunk), s, count, added);
      count += added;
    }
    K::begin(all, args, s, g, 0);
    K::finish(all, args, s, g, 0, count);
    K::put_totals(all.totals, args, s, g);
  }
  parallel_for(exec, s.G * s.chunks, [&](int64_t task, void* scratch) {
    const int64_t g = task / s.chunks, chunk = task % s.chunks;
    Rows all(shared.rows(g), K::kRows, s.lanes);
    all.spare = scratch;
    for (int64_t n = s.first_image(chunk); n < s.first_image(chunk + 1); ++n) {
      if (s.takes_part(g, n))
        K::write_image(all, args, s, g, n);
      else
        K::leave_out(args, s, g, n);
    }
  });
}

template <typename K>
ALUDEL_INLINE void run_phases(const KernelArgs& args, const NormShape& s, Exec& exec) {
  const SharedRows shared(s, K::kRows, exec.shared);
  if (s.batch)
    run_batch<K>(args, s, shared, exec);
  else
    run_images<K>(args, s, shared, exec);
}

namespace {  // or its functions were weak: GCC does not see that K has internal linkage

// The functions of a Kernel. K is a template over the pool's window and whether there is a relu.
template <template <int, bool> class K>
struct NormKernel {
  static NormShape shape(const KernelArgs& args) { return norm_shape(args, K<1, false>::kWeightsAt); }

  static int64_t scratch_bytes(const KernelArgs& args) {
    const NormShape s = shape(args);
    return Rows::bytes(K<1, false>::kRows, s.lanes) + K<1, false>::spare_bytes(s);
  }

  static int64_t shared_bytes(const KernelArgs& args) {
    const NormShape s = shape(args);
    return SharedRows(s, K<1, false>::kRows, nullptr).bytes(s.G);
  }

  static Status run(const KernelArgs& args, Exec& exec) {
    const NormShape s = shape(args);
    if (s.pool == 2)
      s.relu ? run_phases<K<2, true>>(args, s, exec) : run_phases<K<2, false>>(args, s, exec);
    else
      s.relu ? run_phases<K<1, true>>(args, s, exec) : run_phases<K<1, false>>(args, s, exec);
    return {};
  }

  static constexpr Kernel with(Status (*check)(const KernelArgs&)) { return {check, scratch_bytes, run, shared_bytes}; }
};

}  // namespace

}  // namespace aludel::cpu::ALUDEL_ISA
