// The server of the measurements, on Sluice's sockets or (--kernel) on the kernel's.
//
//   perf-server --config server.yaml --mode echo --port 7000 [--spin]
//
//   --mode echo      TCP: sends back what comes
//          crr       TCP: answers --size bytes with as many and closes
//          http      HTTP/1.1: GET /N is answered with N bytes
//          sink      TCP: takes bytes and checks them
//          source    TCP: sends bytes as fast as they go
//          both      TCP: sink and source on each connection
//          udp-echo  UDP: sends back what comes, --batch datagrams a call; with --zero-copy from
//                    where it lies
//          udp-sink  UDP: counts what comes
//   --address A      the local address (0.0.0.0)
//   --ports N        listens on N ports, from --port on (1)
//   --spin           polls instead of waiting in epoll_wait
//   --callbacks      echo, crr, http, sink on Sluice: no epoll, callbacks from sluice_poll, polling
//
// Prints "ready" on standard error, and at SIGTERM one JSON object on standard output.
#include <cstdio>
#include <string>

#include "stream_server.h"

namespace sluice::perf {
namespace {

std::unique_ptr<StreamService> MakeService(const std::string& mode, uint64_t size) {
  if (mode == "echo") return MakeEchoService();
  if (mode == "crr") return MakeAnswerOnceService(size);
  if (mode == "http") return MakeHttpService();
  if (mode == "sink") return MakeBulkService(true, false);
  if (mode == "source") return MakeBulkService(false, true);
  if (mode == "both") return MakeBulkService(true, true);
  return nullptr;
}

void Ready() {
  fputs("ready\n", stderr);
  fflush(stderr);
}

int Serve(int argc, char** argv) {
  Flags flags(argc, argv);
  const std::string mode = flags.Text("mode", "echo");
  const auto port = static_cast<unsigned>(flags.Number("port", 7000));
  const Endpoint local = ParseEndpoint(flags.Text("address", "0.0.0.0"), port);
  const uint64_t size = flags.Number("size", 64);
  const auto batch = static_cast<unsigned>(flags.Number("batch", 32));
  const auto ports = static_cast<uint32_t>(flags.Number("ports", 1));
  const bool spin = flags.Switch("spin");
  const std::unique_ptr<StreamService> service = MakeService(mode, size);
  const bool datagrams = mode == "udp-echo" || mode == "udp-sink";
  if ((service == nullptr && !datagrams) || batch == 0 || batch > 1024) {
    fputs("no such mode, or no such batch\n", stderr);
    return 2;
  }
  const bool callbacks = flags.Switch("callbacks");
  const bool zero_copy = flags.Switch("zero-copy");
  if (!StartSockets(flags)) return 2;
  const bool sends_endlessly = mode == "source" || mode == "both";
  if (callbacks && (net.set_callback == nullptr || datagrams || sends_endlessly)) {
    fputs("callbacks are for TCP servers that answer, on Sluice\n", stderr);
    return 2;
  }
  if (zero_copy && (net.zc_settle == nullptr || mode != "udp-echo")) {
    fputs("zero copy is for udp-echo, on Sluice\n", stderr);
    return 2;
  }
  flags.RefuseOthers();
  Report report;
  report.Add("mode", mode).Add("sockets", net.name);
  if (datagrams) {
    Ready();
    if (zero_copy) {
      RunZeroCopyDatagramServer(local, batch, spin, report);
    } else {
      RunDatagramServer(local, mode == "udp-echo", batch, spin, report);
    }
  } else {
    StreamServer server(local, ports, *service,
                        callbacks ? Waiting::kCallbacks
                        : spin    ? Waiting::kSpin
                                  : Waiting::kSleep);
    Ready();
    server.Run();
    report.Add("accepted", server.counts.accepted).Add("errors", server.counts.errors);
    report.Add("messages", server.counts.messages).Add("open", server.counts.open);
    report.Add("bytes_in", server.counts.bytes_in).Add("bytes_out", server.counts.bytes_out);
  }
  report.Print();
  FinishSockets();
  return 0;
}

}  // namespace
}  // namespace sluice::perf

int main(int argc, char** argv) { return sluice::perf::Serve(argc, argv); }
