// How a product of matrices is cut into blocks: tile, and parts of the inner axis. A pure function of the shape, so that bits do not depend
// on the device's size or load.
#pragma once
#include <cstdint>

#include "native/cuda/kernels/launching.h"

namespace aludel::cuda {

// batch times [m, k] [k, n].
struct GemmShape {
  int64_t batch, m, n, k;
};

enum class GemmTile { large, medium, tall, wide };  // 128 x 128, 64 x 64, 128 x 32, 32 x 128
constexpr int kGemmTileRows[] = {128, 64, 128, 32};
constexpr int kGemmTileColumns[] = {128, 64, 32, 128};

constexpr int kGemmDepth = 16;  // of k that is in shared memory at a time
// Of k that is summed in registers; longer sums are added up in such pieces. The error of a sum in order grows with its length; a piece
// costs a tile of loads and stores, a few hundredths of the time that its products take.
constexpr int64_t kGemmChunk = 512;

// Sets of tiles that a kernel is compiled for.
struct GemmTiles {
  bool large, tall, wide;
};

struct GemmPlan {
  GemmTile tile;
  int64_t tiles_m, tiles_n;
  int64_t splits;       // parts of k, each a block of its own; their sums go through the workspace
  int64_t split_depth;  // of k, in each part but the last: a multiple of kGemmDepth

  int64_t blocks(int64_t batch) const { return batch * splits * tiles_m * tiles_n; }
};

// Blocks that fill a device twice over, and those that also hide the last, incomplete round of a long run: some ten and two for each
// multiprocessor of an A100 or H100.
constexpr int64_t kGemmFewBlocks = 256;
constexpr int64_t kGemmManyBlocks = 1024;
// Of a part of k, for either purpose: below it the second stage costs more than it wins.
constexpr int64_t kGemmFewDepth = 128;
constexpr int64_t kGemmManyDepth = 1024;

inline int64_t gemm_tiles(const GemmShape& s, GemmTile tile) {
  return s.batch * ceil_div(s.m, kGemmTileRows[int(tile)]) * ceil_div(s.n, kGemmTileColumns[int(tile)]);
}

inline GemmTile gemm_tile(const GemmShape& s, const GemmTiles& compiled) {
  if (compiled.tall && s.n <= 32 && s.m > 64) return GemmTile::tall;
  if (compiled.wide && s.m <= 32 && s.n > 32) return GemmTile::wide;
  const int64_t parts = s.k < 2 * kGemmManyDepth ? 1 : s.k / kGemmManyDepth;
  // Three quarters of kGemmFewBlocks: rather a device that is not quite full than tiles that load twice as much for each product.
  if (compiled.large && s.m > 64 && s.n > 64 && 4 * gemm_tiles(s, GemmTile::large) * parts >= 3 * kGemmFewBlocks) return GemmTile::large;
  return GemmTile::medium;
}

inline GemmPlan gemm_plan(const GemmShape& s, const GemmTiles& compiled, bool may_split = true) {
  GemmPlan plan;
  plan.tile = gemm_tile(s, compiled);
  plan.tiles_m = ceil_div(s.m, kGemmTileRows[int(plan.tile)]);
  plan.tiles_n = ceil_div(s.n, kGemmTileColumns[int(plan.tile)]);
  const int64_t tiles = s.batch * plan.tiles_m * plan.tiles_n;
  int64_t splits = 1;
  if (may_split && tiles < kGemmFewBlocks) {
    const auto parts = [&](int64_t blocks, int64_t depth) {
      const int64_t wanted = ceil_div(blocks, tiles), most = s.k / depth;
      return wanted < most ? wanted : most;
    };
    const int64_t few = parts(kGemmFewBlocks, kGemmFewDepth), many = parts(kGemmManyBlocks, kGemmManyDepth);
    splits = few > many ? few : many;
    if (splits < 1) splits = 1;
  }
  plan.split_depth = s.k == 0 ? kGemmDepth : round_up(ceil_div(s.k, splits), kGemmDepth);
  plan.splits = s.k == 0 ? 1 : ceil_div(s.k, plan.split_depth);
  return plan;
}

// The sums of the parts of k, before they are added up.
inline int64_t gemm_workspace_bytes(const GemmPlan& plan, int64_t outputs) {
  return plan.splits > 1 ? plan.splits * outputs * int64_t{sizeof(float)} : 0;
}

}  // namespace aludel::cuda
