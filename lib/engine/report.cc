#include "engine/report.h"

#include "engine/engine.h"

namespace sluice::engine {
namespace {

constexpr uint32_t kSlotsPerTurn = 256;

}  // namespace

void Engine::AskReport() {
  // What an earlier asker did not wait for is thrown away.
  report_state_.store(kReportAsked, std::memory_order_seq_cst);
}

bool Engine::TakeReport(Report* report) {
  if (report_state_.load(std::memory_order_acquire) != kReportReady) return false;
  *report = std::move(report_);
  report_state_.store(kReportIdle, std::memory_order_release);
  return true;
}

// Connections first, a piece a turn; then, all at one time, the rest.
void Engine::ServeReport(Instant now) {
  if (!collecting_) {
    collecting_ = true;
    next_slot_ = 0;
    report_ = Report();
  }
  const uint32_t sockets = region_.limits().sockets;
  for (uint32_t i = 0; i < kSlotsPerTurn && next_slot_ < sockets; ++i, ++next_slot_) {
    const table::Socket socket = table_.At(next_slot_);
    if (!socket || udp::Stack::Owns(socket)) continue;
    ConnectionReport connection;
    connection.handle = socket.handle();
    if (tcp_.Information(now, socket, &connection.information)) {
      report_.connections.push_back(connection);
    }
  }
  if (next_slot_ < sockets) return;
  collecting_ = false;

  report_.taken_at = now;
  report_.engine = counters_;
  report_.ip = ip_.counters();
  report_.tcp = tcp_.counters();
  report_.udp = udp_.counters();
  report_.table = table_.counters();
  report_.population = tcp_.population();
  report_.open_sockets = table_.open_sockets();
  report_.open_datagram_sockets = udp_.open_sockets();
  for (const Attachment& a : ports_) {
    PortReport port;
    port.name = a.port->name();
    port.queue = a.queue;
    port.interface = a.interface;
    port.link_up = a.link_up;
    port.capabilities = a.port->capabilities();
    port.statistics = a.port->statistics();
    report_.ports.push_back(std::move(port));
  }
  for (uint16_t i = 1; i <= ip_.interface_count(); ++i) {
    report_.interfaces.push_back(ip_.DescribeInterface(i));
  }
  report_.neighbors = ip_.Neighbors();
  report_.routes = ip_.Routes();
  report_state_.store(kReportReady, std::memory_order_release);  // pairs with TakeReport
}

}  // namespace sluice::engine
