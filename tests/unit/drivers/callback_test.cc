// The callback port: frames in and out by copy, backpressure, wake-ups, and the checks of its
// configuration.

#include <poll.h>

#include <catch2/catch.hpp>
#include <deque>
#include <string>
#include <thread>
#include <vector>

#include "base/random.h"
#include "callback/frame_queue.h"
#include "callback/port.h"

namespace sluice::callback {
namespace {

using Frame = std::vector<uint8_t>;

sluice_callback_config Config() {
  sluice_callback_config config{};
  config.struct_size = sizeof(config);
  return config;
}

std::unique_ptr<CallbackPort> MakePort(const sluice_callback_config& config) {
  absl::StatusOr<std::unique_ptr<CallbackPort>> port = CallbackPort::Create(config);
  INFO(port.status().ToString());
  REQUIRE(port.ok());
  return *std::move(port);
}

std::string Error(const sluice_callback_config& config) {
  return std::string(CallbackPort::Create(config).status().message());
}

Frame ReceiveOne(CallbackPort& port) {
  rte_mbuf* packet = nullptr;
  if (port.Receive(0, {&packet, 1}) == 0) return {};
  const auto* data = rte_pktmbuf_mtod(packet, const uint8_t*);
  Frame frame(data, data + packet->data_len);
  rte_pktmbuf_free(packet);
  return frame;
}

bool TransmitOne(CallbackPort& port, const Frame& frame) {
  rte_mbuf* packet = rte_pktmbuf_alloc(port.pool(0));
  std::memcpy(rte_pktmbuf_append(packet, static_cast<uint16_t>(frame.size())), frame.data(),
              frame.size());
  if (port.Transmit(0, {&packet, 1}) == 1) return true;
  rte_pktmbuf_free(packet);
  return false;
}

bool Readable(int descriptor) {
  pollfd waiting = {descriptor, POLLIN, 0};
  return ::poll(&waiting, 1, 0) == 1;
}

TEST_CASE("frame queue: agrees with a deque under any sequence of pushes and pops") {
  const uint64_t seed = GENERATE(1, 2, 3);
  CAPTURE(seed);
  Random random(seed);
  FrameQueue queue(16, 3000);
  std::deque<Frame> model;
  for (int i = 0; i < 20000; ++i) {
    if (random.Chance(1, 2)) {
      Frame frame(random.Below(3001), static_cast<uint8_t>(i));
      if (queue.Push(frame)) {
        model.push_back(frame);
      } else {
        REQUIRE(model.size() >= 10);  // sixteen, or fewer that are large
      }
    } else {
      const size_t bytes = queue.FrontBytes();
      Frame frame(bytes);
      REQUIRE(bytes == (model.empty() ? 0 : model.front().size()));
      queue.Pop(frame);
      if (model.empty()) continue;
      REQUIRE((frame == model.front()));
      model.pop_front();
    }
    REQUIRE(queue.frames() == model.size());
  }
}

TEST_CASE("defaults: raw IP, an MTU of 1,500, nothing offloaded") {
  std::unique_ptr<CallbackPort> port = MakePort(Config());
  CHECK(port->capabilities().link == engine::LinkType::kIp);
  CHECK(port->capabilities().mtu == 1500);
  CHECK_FALSE(port->capabilities().rx_checksum);
  CHECK_FALSE(port->capabilities().tx_tcp_checksum);
  CHECK(port->link_up());
  port->set_link_up(false);
  CHECK_FALSE(port->link_up());
}

TEST_CASE("frames pass both ways unchanged and in order") {
  std::unique_ptr<CallbackPort> port = MakePort(Config());
  for (uint8_t i = 1; i < 100; ++i) REQUIRE(port->Push(Frame(i, i)) == PushResult::kTaken);
  for (uint8_t i = 1; i < 100; ++i) REQUIRE((ReceiveOne(*port) == Frame(i, i)));
  CHECK(ReceiveOne(*port).empty());
  for (uint8_t i = 1; i < 100; ++i) REQUIRE(TransmitOne(*port, Frame(i, i)));
  for (uint8_t i = 1; i < 100; ++i) {
    Frame frame(2000);
    frame.resize(port->Pop(frame));
    REQUIRE((frame == Frame(i, i)));
  }
  Frame none(10);
  CHECK(port->Pop(none) == 0);
  CHECK(port->statistics().rx_packets == 99);
  CHECK(port->statistics().tx_bytes == 99 * 100 / 2);
}

TEST_CASE("a chain of segments comes out as one frame") {
  std::unique_ptr<CallbackPort> port = MakePort(Config());
  rte_mbuf* head = rte_pktmbuf_alloc(port->pool(0));
  rte_mbuf* tail = rte_pktmbuf_alloc(port->pool(0));
  std::memset(rte_pktmbuf_append(head, 40), 1, 40);
  std::memset(rte_pktmbuf_append(tail, 60), 2, 60);
  REQUIRE(rte_pktmbuf_chain(head, tail) == 0);
  REQUIRE(port->Transmit(0, {&head, 1}) == 1);
  Frame frame(200);
  frame.resize(port->Pop(frame));
  Frame expected(40, 1);
  expected.insert(expected.end(), 60, 2);
  CHECK((frame == expected));
}

TEST_CASE("frames of impossible length are refused") {
  sluice_callback_config config = Config();
  std::unique_ptr<CallbackPort> port = MakePort(config);
  CHECK(port->Push({}) == PushResult::kTooShort);
  CHECK(port->Push(Frame(1500)) == PushResult::kTaken);
  CHECK(port->Push(Frame(1501)) == PushResult::kTooLong);
  CHECK(TransmitOne(*port, Frame(1501)));
  CHECK(port->statistics().tx_errors == 1);
  config.link_type = SLUICE_LINK_ETHERNET;
  port = MakePort(config);
  CHECK(port->Push(Frame(13)) == PushResult::kTooShort);
  CHECK(port->Push(Frame(1518)) == PushResult::kTaken);
  CHECK(port->Push(Frame(1519)) == PushResult::kTooLong);
  CHECK_FALSE(port->capabilities().mac.is_zero());
}

TEST_CASE("full queues push back on either side, and recover") {
  sluice_callback_config config = Config();
  config.input_frames_max = 2;
  config.output_frames_max = 2;
  std::unique_ptr<CallbackPort> port = MakePort(config);
  CHECK(port->Push(Frame(10)) == PushResult::kTaken);
  CHECK(port->Push(Frame(10)) == PushResult::kTaken);
  CHECK(port->Push(Frame(10)) == PushResult::kFull);
  CHECK(port->statistics().rx_missed == 1);
  ReceiveOne(*port);
  CHECK(port->Push(Frame(10)) == PushResult::kTaken);
  CHECK(TransmitOne(*port, Frame(10)));
  CHECK(TransmitOne(*port, Frame(10)));
  CHECK_FALSE(TransmitOne(*port, Frame(10)));
  Frame frame(10);
  CHECK(port->Pop(frame) == 10);
  CHECK(TransmitOne(*port, Frame(10)));
}

TEST_CASE("frames wait while there are no buffers") {
  sluice_callback_config config = Config();
  config.buffers = 64;
  std::unique_ptr<CallbackPort> port = MakePort(config);
  for (int i = 0; i < 100; ++i) REQUIRE(port->Push(Frame(100)) == PushResult::kTaken);
  std::vector<rte_mbuf*> packets(100);
  const uint16_t count = port->Receive(0, packets);
  CHECK(count == 64);
  CHECK(port->statistics().rx_no_mbuf == 1);
  for (uint16_t i = 0; i < count; ++i) rte_pktmbuf_free(packets[i]);
  CHECK(port->Receive(0, packets) == 36);
  for (uint16_t i = 0; i < 36; ++i) rte_pktmbuf_free(packets[i]);
}

TEST_CASE("the output function gets frames, and may refuse one for now") {
  struct Wire {
    std::vector<Frame> frames;
    bool open = true;
  } wire;
  sluice_callback_config config = Config();
  config.user = &wire;
  config.output = [](void* user, const void* frame, size_t frame_bytes) {
    auto* wire = static_cast<Wire*>(user);
    if (!wire->open) return -1;
    const auto* bytes = static_cast<const uint8_t*>(frame);
    wire->frames.emplace_back(bytes, bytes + frame_bytes);
    return 0;
  };
  std::unique_ptr<CallbackPort> port = MakePort(config);
  CHECK(TransmitOne(*port, Frame(5, 5)));
  wire.open = false;
  CHECK_FALSE(TransmitOne(*port, Frame(6, 6)));
  wire.open = true;
  CHECK(TransmitOne(*port, Frame(6, 6)));
  CHECK((wire.frames == std::vector<Frame>{Frame(5, 5), Frame(6, 6)}));
}

TEST_CASE("a push wakes an armed engine, once") {
  std::unique_ptr<CallbackPort> port = MakePort(Config());
  const int wake = port->wake_descriptor(0);
  port->Push(Frame(1));
  CHECK_FALSE(Readable(wake));
  CHECK_FALSE(port->ArmWake(0));
  ReceiveOne(*port);
  CHECK(port->ArmWake(0));
  std::thread([&] { port->Push(Frame(1)); }).join();
  CHECK(Readable(wake));
  port->DisarmWake(0);
  CHECK_FALSE(Readable(wake));
}

TEST_CASE("verified input is marked so") {
  sluice_callback_config config = Config();
  config.flags = SLUICE_CALLBACK_INPUT_VERIFIED;
  std::unique_ptr<CallbackPort> port = MakePort(config);
  CHECK(port->capabilities().rx_checksum);
  port->Push(Frame(20));
  rte_mbuf* packet = nullptr;
  REQUIRE(port->Receive(0, {&packet, 1}) == 1);
  CHECK((packet->ol_flags & RTE_MBUF_F_RX_L4_CKSUM_MASK) == RTE_MBUF_F_RX_L4_CKSUM_GOOD);
  rte_pktmbuf_free(packet);
}

TEST_CASE("a configuration that cannot work is refused") {
  sluice_callback_config config{};
  CHECK_THAT(Error(config), Catch::Contains("struct_size"));
  config = Config();
  config.mtu = 100;
  CHECK(Error(config) == "callback port: mtu is 100, not between 576 and 65000");
  config = Config();
  config.link_type = 7;
  CHECK_THAT(Error(config), Catch::Contains("link_type"));
  config = Config();
  config.mac[0] = 1;
  CHECK_THAT(Error(config), Catch::Contains("multicast"));
  config = Config();
  config.flags = 0x80;
  CHECK_THAT(Error(config), Catch::Contains("flags"));
  config = Config();
  config.mtu = 65000;
  config.buffers = 64;
  config.link_type = SLUICE_LINK_ETHERNET;
  CHECK(MakePort(config)->Push(Frame(65018)) == PushResult::kTaken);
}

}  // namespace
}  // namespace sluice::callback
