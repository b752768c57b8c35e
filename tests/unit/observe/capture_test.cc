#include "observe/capture.h"

#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <iterator>

#include "../engine/machine.h"

namespace sluice::observe {
namespace {

using engine::Bench;
using table::Handle;
using table::Type;
using wire::IpAddress;

struct File {
  File() {
    char name[] = "/tmp/sluice-capture-XXXXXX";
    const int fd = mkstemp(name);
    REQUIRE(fd >= 0);
    close(fd);
    path = name;
  }
  ~File() { std::filesystem::remove(path); }
  std::string Read() const {
    std::ifstream in(path, std::ios::binary);
    return {std::istreambuf_iterator<char>(in), {}};
  }
  std::string path;
};

struct Block {
  uint32_t type;
  std::string body;
};

uint32_t WordAt(const std::string& bytes, size_t at) {
  uint32_t word;
  REQUIRE(at + 4 <= bytes.size());
  std::memcpy(&word, bytes.data() + at, 4);
  return word;
}

std::vector<Block> Parse(const std::string& file) {
  std::vector<Block> blocks;
  for (size_t at = 0; at < file.size();) {
    const uint32_t total = WordAt(file, at + 4);
    REQUIRE(total >= 12);
    REQUIRE(total % 4 == 0);
    REQUIRE(at + total <= file.size());
    REQUIRE(WordAt(file, at + total - 4) == total);
    blocks.push_back({WordAt(file, at), file.substr(at + 8, total - 12)});
    at += total;
  }
  return blocks;
}

TEST_CASE("a capture holds every frame both ways, with its time", "[observe]") {
  File file;
  Bench bench;
  {
    auto capture = Capture::Create(file.path, 1 << 20, /*clock_offset_ns=*/1000);
    REQUIRE(capture.ok());
    (*capture)->AddInterface(bench.a.eth0, "eth0", engine::LinkType::kEthernet);
    bench.a.engine->SetTap(capture->get());
    Handle server = bench.b.Open(bench.now, Type::kDatagram);
    bench.b.Bind(bench.now, server, {IpAddress::AnyV4(), 7});
    Handle client = bench.a.Open(bench.now, Type::kDatagram);
    bench.a.Send(client, {bench.b.address, 7}, "find me in the file");
    bench.Run();
    REQUIRE(bench.b.Receive(server).has_value());
    bench.a.engine->SetTap(nullptr);
    REQUIRE((*capture)->frames() >= 3);  // who has, is at, the datagram
    REQUIRE((*capture)->frames() == bench.a.engine->counters().FramesReceived +
                                        bench.a.engine->counters().FramesTransmitted);
  }
  const std::vector<Block> blocks = Parse(file.Read());
  REQUIRE(blocks.size() >= 5);
  REQUIRE(blocks[0].type == 0x0a0d0d0a);
  REQUIRE(WordAt(blocks[0].body, 0) == 0x1a2b3c4d);
  REQUIRE(blocks[1].type == 1);
  REQUIRE(blocks[1].body.find("eth0") != std::string::npos);
  bool found = false;
  uint64_t before = 0;
  for (size_t i = 2; i < blocks.size(); ++i) {
    REQUIRE(blocks[i].type == 6);
    REQUIRE(WordAt(blocks[i].body, 0) == 0);
    const uint64_t time = uint64_t{WordAt(blocks[i].body, 4)} << 32 | WordAt(blocks[i].body, 8);
    REQUIRE(time >= std::max<uint64_t>(before, 1'000'001'000));
    before = time;
    const size_t at = blocks[i].body.find("find me in the file");
    if (at == std::string::npos) continue;
    found = true;
    REQUIRE(at == 20 + 14 + 20 + 8);
    REQUIRE(WordAt(blocks[i].body, 12) == 14 + 20 + 8 + 19);
  }
  REQUIRE(found);
}

TEST_CASE("a capture stops at its size and counts what it leaves out", "[observe]") {
  File file;
  Bench bench;
  {
    auto capture = Capture::Create(file.path, 2000);
    REQUIRE(capture.ok());
    (*capture)->AddInterface(bench.a.eth0, "eth0", engine::LinkType::kEthernet);
    bench.a.engine->SetTap(capture->get());
    Handle client = bench.a.Open(bench.now, Type::kDatagram);
    for (int i = 0; i < 20; ++i) bench.a.Send(client, {bench.b.address, 7}, std::string(200, 'x'));
    bench.Run();
    bench.a.engine->SetTap(nullptr);
    REQUIRE((*capture)->frames_left_out() > 0);
  }
  REQUIRE(file.Read().size() <= 2000);
  Parse(file.Read());
}

TEST_CASE("a capture file that cannot be is an error", "[observe]") {
  REQUIRE_FALSE(Capture::Create("/nonexistent/directory/file", 1).ok());
}

}  // namespace
}  // namespace sluice::observe
