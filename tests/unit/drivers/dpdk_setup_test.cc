// What of the DPDK driver needs no EAL: names of devices, EAL's command line, what dead processes
// left behind, and wake sources.

#include <fcntl.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <catch2/catch.hpp>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <string>

#include "dpdk/device_string.h"
#include "dpdk/eal.h"
#include "dpdk/memif_socket.h"
#include "dpdk/preparation.h"
#include "dpdk/wake.h"
#include "dpdk_harness.h"

namespace sluice::dpdk {
namespace {

class TemporaryDirectory {
 public:
  TemporaryDirectory() { REQUIRE(::mkdtemp(path_) != nullptr); }
  ~TemporaryDirectory() { ::rmdir(path_); }
  std::string operator/(const std::string& name) const { return path_ + ("/" + name); }
  std::string path() const { return path_; }

 private:
  char path_[32] = "/tmp/sluice-test-XXXXXX";
};

std::vector<std::string> Arguments(const EalConfig& config, const Machine& machine) {
  std::vector<std::string> arguments;
  REQUIRE(Eal::Arguments(config, machine, &arguments).ok());
  return arguments;
}

bool Has(const std::vector<std::string>& arguments, const std::string& wanted) {
  return std::find(arguments.begin(), arguments.end(), wanted) != arguments.end();
}

int DeadProcess() {
  const pid_t child = ::fork();
  if (child == 0) ::_exit(0);
  ::waitpid(child, nullptr, 0);
  return child;
}

int Listen(const std::string& path) {
  const int descriptor = ::socket(AF_UNIX, SOCK_SEQPACKET, 0);
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  std::memcpy(address.sun_path, path.data(), path.size());
  REQUIRE(::bind(descriptor, reinterpret_cast<sockaddr*>(&address), sizeof(address)) == 0);
  REQUIRE(::listen(descriptor, 4) == 0);
  return descriptor;
}

TEST_CASE("virtual devices parse into name, driver and arguments") {
  const absl::StatusOr<Device> device = ParseDevice("net_af_packet12,iface=veth1,qpairs=2,flag");
  REQUIRE(device.ok());
  CHECK_FALSE(device->is_pci);
  CHECK(device->name == "net_af_packet12");
  CHECK(device->driver == "net_af_packet");
  CHECK(*device->Find("iface") == "veth1");
  CHECK(device->Find("nothing") == nullptr);
  CHECK(device->ArgumentText() == "iface=veth1,qpairs=2,flag");
}

TEST_CASE("PCI addresses parse in both forms") {
  CHECK(ParseDevice("00:05.0")->name == "0000:00:05.0");
  const absl::StatusOr<Device> device = ParseDevice("0001:af:1f.7,representor=1");
  REQUIRE(device.ok());
  CHECK(device->is_pci);
  CHECK(device->name == "0001:af:1f.7");
  CHECK(*device->Find("representor") == "1");
}

TEST_CASE("what names no device is refused with an example") {
  for (const char* text : {"", ",iface=a", "net tap0", "7", "net_tap0,,", "net_tap0,=x"}) {
    INFO(text);
    const absl::Status status = ParseDevice(text).status();
    CHECK_FALSE(status.ok());
    CHECK_THAT(std::string(status.message()), Catch::Contains("net_af_packet0,iface=eth1"));
  }
  CHECK_FALSE(ParseDevice("0000:00:05.8").ok());
  CHECK_FALSE(ParseDevice(std::string(64, 'n')).ok());
}

TEST_CASE("EAL's command line follows the machine") {
  Machine machine;
  machine.cpus = {1, 3, 200};
  machine.process_id = 4711;
  EalConfig config;
  config.memory_mib = 100;
  const std::vector<std::string> plain = Arguments(config, machine);
  CHECK(plain == std::vector<std::string>{"--no-huge", "-m", "100", "--no-shconf",
                                          "--file-prefix=sluice-4711", "--no-telemetry",
                                          "--lcores=0@(1,3)", "--no-pci"});
  machine.free_hugepage_bytes = 200ull << 20;
  CHECK(Has(Arguments(config, machine), "--in-memory"));
  CHECK_FALSE(Has(Arguments(config, machine), "--no-huge"));
  config.hugepages = Hugepages::kNever;
  CHECK(Has(Arguments(config, machine), "--no-huge"));
  config.pci_devices = {"0000:00:05.0"};
  CHECK(Has(Arguments(config, machine), "0000:00:05.0"));
  CHECK_FALSE(Has(Arguments(config, machine), "--no-pci"));
}

TEST_CASE("an EAL argument of the user's replaces Sluice's") {
  EalConfig config;
  config.extra_arguments = {"--file-prefix=mine", "-l",          "0",
                            "--in-memory",        "--telemetry", "--vdev=net_null0"};
  Machine machine;
  machine.cpus = {0, 1};
  CHECK(Arguments(config, machine) == std::vector<std::string>{"--no-pci", "--file-prefix=mine",
                                                               "-l", "0", "--in-memory",
                                                               "--telemetry", "--vdev=net_null0"});
}

TEST_CASE("required hugepages that are missing are an error that says how to get them") {
  EalConfig config;
  config.hugepages = Hugepages::kRequire;
  config.memory_mib = 1024;
  std::vector<std::string> arguments;
  const absl::Status status = Eal::Arguments(config, Machine{}, &arguments);
  CHECK_THAT(std::string(status.message()),
             Catch::Contains("dpdk-hugepages.py -p 2M --setup 1024M"));
}

TEST_CASE("runtime directories of dead processes are removed, and nothing else") {
  TemporaryDirectory base;
  const std::string dead = base / ("sluice-" + std::to_string(DeadProcess()));
  const std::string alive = base / ("sluice-" + std::to_string(::getpid()));
  const std::string foreign = base / "rte";
  for (const std::string& path : {dead, alive, foreign}) ::mkdir(path.c_str(), 0700);
  std::ofstream(dead + "/config") << "x";
  const int held = ::open(dead.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  REQUIRE(::flock(held, LOCK_EX) == 0);  // as by a process of another PID namespace
  CHECK(RemoveStaleRuntimeDirectories(base.path()) == 0);
  CHECK(::access((dead + "/config").c_str(), F_OK) == 0);
  ::close(held);
  CHECK(RemoveStaleRuntimeDirectories(base.path()) == 1);
  CHECK(::access(dead.c_str(), F_OK) != 0);
  CHECK(::access(alive.c_str(), F_OK) == 0);
  CHECK(::access(foreign.c_str(), F_OK) == 0);
  ::rmdir(alive.c_str());
  ::rmdir(foreign.c_str());
  CHECK(RemoveStaleRuntimeDirectories("/nonexistent") == 0);
}

TEST_CASE("the memory of an mbuf follows the device and the MTU") {
  PortConfig config;
  config.device = "net_memif0,role=client";
  CHECK(MbufBytes(config) == 64 + 128 + 128 + 2048);
  config.mtu = 9000;
  CHECK(MbufBytes(config) >= 9018 + 64 + 128 + 128);
  CHECK(MbufBytes(config) < 9200 + 64 + 128 + 128);
  config.device = "net_af_packet0,iface=x";
  CHECK(MbufBytes(config) == 16384 + 64 + 128 + 128);
  config.device = "net_af_xdp0,iface=x";
  CHECK(MbufBytes(config) == 4096);
}

TEST_CASE("a memif socket is cleared only if nobody listens on it") {
  TemporaryDirectory directory;
  const std::string path = directory / "memif.sock";
  CHECK(ClearServerSocket(path).ok());
  const int listener = Listen(path);
  CHECK_THAT(std::string(ClearServerSocket(path).message()),
             Catch::Contains("in use by another process"));
  CHECK(::access(path.c_str(), F_OK) == 0);
  ::close(listener);
  CHECK(ClearServerSocket(path).ok());
  CHECK(::access(path.c_str(), F_OK) != 0);

  std::ofstream(path) << "precious";
  CHECK_THAT(std::string(ClearServerSocket(path).message()), Catch::Contains("is not a socket"));
  CHECK(::access(path.c_str(), F_OK) == 0);
  ::unlink(path.c_str());
  CHECK_THAT(std::string(ClearServerSocket("/nonexistent/dir/s").message()),
             Catch::Contains("mkdir -p /nonexistent/dir"));
  CHECK_FALSE(ClearServerSocket("/tmp/" + std::string(200, 's')).ok());
}

TEST_CASE("memif messages carry one descriptor, and an end is seen after the last of them") {
  TemporaryDirectory directory;
  const MemifAddress address = {directory / "memif.sock", false};
  bool is_busy;
  CHECK_FALSE(ConnectTo(address, &is_busy));
  CHECK_FALSE(is_busy);
  absl::StatusOr<Descriptor> listener = ListenAt(address);
  REQUIRE(listener.ok());
  CHECK_THAT(std::string(ListenAt(address).status().message()),
             Catch::Contains("in use by another process or device"));
  CHECK_FALSE(AcceptFrom(listener->number()));
  Descriptor client = ConnectTo(address, &is_busy);
  REQUIRE(client);
  Descriptor server = AcceptFrom(listener->number());
  REQUIRE(server);
  CHECK(::fcntl(server.number(), F_GETFD) == FD_CLOEXEC);

  MemifMessage message;
  Descriptor attached;
  CHECK(TakeMessage(server.number(), &message, &attached) == Took::kNothing);
  message.type = MemifType::kAddRegion;
  message.rest[125] = 7;
  Descriptor sent(::open("/dev/null", O_RDONLY | O_CLOEXEC));
  CHECK(SendMessage(client.number(), message, sent));
  CHECK_FALSE(AllTaken(client.number()));
  EndMessages(client.number());
  MemifMessage taken;
  CHECK(TakeMessage(server.number(), &taken, &attached) == Took::kMessage);
  CHECK(std::memcmp(&taken, &message, sizeof(message)) == 0);
  CHECK(::fcntl(attached.number(), F_GETFD) == FD_CLOEXEC);
  CHECK(AllTaken(client.number()));
  CHECK(TakeMessage(server.number(), &taken, &attached) == Took::kEnd);

  CHECK(SendMessage(server.number(), message, Descriptor()));  // the other way is open yet
  CHECK(::send(server.number(), "short", 5, 0) == 5);
  CHECK(TakeMessage(client.number(), &taken, &attached) == Took::kMessage);
  CHECK(TakeMessage(client.number(), &taken, &attached) == Took::kNonsense);
  client.Close();
  CHECK_FALSE(SendMessage(server.number(), message, Descriptor()));
  ::unlink(address.name.c_str());
}

TEST_CASE("who waits for a full memif listener is told so, and does not wait") {
  const MemifAddress address = {"sluice-test-" + std::to_string(::getpid()), true};
  absl::StatusOr<Descriptor> listener = ListenAt(address);
  REQUIRE(listener.ok());
  std::vector<Descriptor> waiting;
  bool is_busy = false;
  while (!is_busy && waiting.size() < 1000) waiting.push_back(ConnectTo(address, &is_busy));
  CHECK(is_busy);
}

TEST_CASE("a wake source rings once armed, for each of its descriptors") {
  int first[2], second[2];
  REQUIRE(::pipe2(first, O_CLOEXEC) == 0);
  REQUIRE(::pipe2(second, O_CLOEXEC) == 0);
  std::unique_ptr<WakeSource> source = WatchDescriptors({first[0], second[0]});
  REQUIRE(source != nullptr);
  const int wake = source->descriptor();
  char byte = 0;

  REQUIRE(::write(second[1], &byte, 1) == 1);
  CHECK_FALSE(test::Readable(wake, 0));  // not armed
  CHECK_FALSE(source->Arm());            // it waits already
  CHECK_FALSE(test::Readable(wake, 0));
  REQUIRE(::read(second[0], &byte, 1) == 1);

  CHECK(source->Arm());
  CHECK_FALSE(test::Readable(wake, 0));
  REQUIRE(::write(first[1], &byte, 1) == 1);
  CHECK(test::Readable(wake, 0));
  source->Disarm();
  CHECK_FALSE(test::Readable(wake, 0));

  REQUIRE(::read(first[0], &byte, 1) == 1);
  ::close(first[1]);  // a descriptor that is broken for good must not keep the engine awake
  CHECK(source->Arm());
  CHECK_FALSE(test::Readable(wake, 0));
  REQUIRE(::write(second[1], &byte, 1) == 1);
  CHECK(test::Readable(wake, 0));
  for (int descriptor : {first[0], second[0], second[1]}) ::close(descriptor);
}

TEST_CASE("nothing to watch is no wake source") {
  CHECK(WatchDescriptors({}) == nullptr);
  CHECK(WatchDescriptors({-1}) == nullptr);
}

}  // namespace
}  // namespace sluice::dpdk
