// Reads little-endian fields from untrusted bytes. After the first read past the end every read gives zero and ok() is false.
#pragma once
#include <cstdint>
#include <cstring>

namespace aludel {

class ByteReader {
 public:
  ByteReader(const uint8_t* bytes, size_t size) : bytes_(bytes), size_(size) {}

  template <typename T>
  T read() {
    T value{};
    if (!take(sizeof(T))) return value;
    memcpy(&value, bytes_ + position_ - sizeof(T), sizeof(T));
    return value;
  }
  // Skips to the next multiple of `alignment` from the start.
  void align(size_t alignment) { take((alignment - position_ % alignment) % alignment); }
  // True when `count` records of `bytes` each can still follow; keeps counts from the file from sizing allocations.
  bool holds(uint64_t count, uint64_t bytes) const { return ok_ && count <= (size_ - position_) / bytes; }
  const uint8_t* here() const { return bytes_ + position_; }
  bool ok() const { return ok_; }
  size_t position() const { return position_; }
  size_t left() const { return size_ - position_; }

 private:
  bool take(size_t n) {
    if (!ok_ || n > size_ - position_) {
      ok_ = false;
      return false;
    }
    position_ += n;
    return true;
  }

  const uint8_t* bytes_;
  size_t size_;
  size_t position_ = 0;
  bool ok_ = true;
};

static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "the program format is little-endian");

}  // namespace aludel
