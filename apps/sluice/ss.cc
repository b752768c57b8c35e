// sluice ss: the live socket tables of the programs that run under Sluice.

#include <iostream>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "snapshot_client.h"
#include "socket_text.h"
#include "verb.h"

namespace sluice::apps {
namespace {

class SsVerb : public Verb {
 public:
  CLI::App* Register(CLI::App& sluice) override {
    CLI::App* ss = sluice.add_subcommand("ss", "Show the sockets of running programs");
    ss->add_option("--pid,-p", pid_, "Only this process")->check(CLI::PositiveNumber);
    ss->add_option("--name", name_, "Only programs of this name");
    ss->add_flag("--all,-a", all_, "Listening sockets too");
    ss->add_flag("--listening,-l", listening_, "Only sockets that listen or are not connected");
    ss->add_flag("--tcp,-t", filter_.tcp, "TCP");
    ss->add_flag("--udp,-u", filter_.udp, "UDP");
    ss->add_flag("-4,--ipv4", filter_.ipv4, "IPv4");
    ss->add_flag("-6,--ipv6", filter_.ipv6, "IPv6");
    ss->add_flag("--extended,-e", extended_, "Every field of every entry");
    ss->add_flag("--summary,-s", summary_, "Interfaces, limits and counters instead of sockets");
    ss->add_flag("--numeric,-n", numeric_, "Accepted for the sake of ss; numbers are shown anyway");
    ss->add_flag("--json", json_, "Print JSON: with --pid one document, otherwise a list of them");
    ss->add_option("--run-directory", run_directory_, "Where the processes have their sockets")
        ->capture_default_str()
        ->envname("SLUICE_RUN_DIRECTORY");
    return ss;
  }

  absl::StatusOr<int> Execute() override {
    filter_.listening = all_ || listening_;
    filter_.connected = all_ || !listening_;
    if (pid_ != 0) return ShowOne();
    std::vector<nlohmann::json> documents;
    for (int pid : RunningPids(run_directory_)) {
      absl::StatusOr<nlohmann::json> document = FetchSnapshot(run_directory_, pid);
      // One that ended meanwhile, or was killed and left its socket behind, is no error here.
      if (absl::IsNotFound(document.status())) continue;
      if (!document.ok()) return document.status();
      if (name_.empty() || IsCalled(*document)) documents.push_back(*std::move(document));
    }
    if (documents.empty() && !name_.empty()) {
      return absl::NotFoundError(absl::StrCat("no program called ", name_,
                                              " runs under Sluice; sluice ss lists those that do"));
    }
    if (json_) {
      std::cout << nlohmann::json(documents).dump(1) << "\n";
      return 0;
    }
    for (const nlohmann::json& document : documents) Print(document);
    return 0;
  }

 private:
  bool IsCalled(const nlohmann::json& document) const {
    return document.value("name", "") == name_ || document.value("program", "") == name_;
  }

  absl::StatusOr<int> ShowOne() const {
    absl::StatusOr<nlohmann::json> document = FetchSnapshot(run_directory_, pid_);
    if (!document.ok()) return document.status();
    if (json_) {
      std::cout << document->dump(1) << "\n";
    } else {
      Print(*document);
    }
    return 0;
  }

  void Print(const nlohmann::json& document) const {
    std::cout << "# " << document.value("name", "?") << ", pid " << document.value("pid", 0) << "\n"
              << (summary_ ? Summary(document) : SocketTable(document, filter_, extended_));
  }

  int pid_ = 0;
  std::string name_;
  std::string run_directory_ = "/run/sluice";
  SocketFilter filter_;
  bool all_ = false, listening_ = false;
  bool extended_ = false, summary_ = false, numeric_ = false, json_ = false;
};

}  // namespace

std::unique_ptr<Verb> MakeSsVerb() { return std::make_unique<SsVerb>(); }

}  // namespace sluice::apps
