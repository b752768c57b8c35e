// The sluice command: one program, a verb for each task.

#include <iostream>
#include <string>
#include <utility>
#include <vector>

#include "verb.h"

namespace sluice::apps {
namespace {

constexpr int kUsageError = 2;

// What stands behind "--" belongs to the program and is no business of our parser.
std::pair<std::vector<std::string>, std::vector<std::string>> SplitAtDashes(int argc, char** argv) {
  std::vector<std::string> ours, program;
  bool behind = false;
  for (int i = 1; i < argc; ++i) {
    std::string argument = argv[i];
    if (!behind && argument == "--") {
      behind = true;
    } else {
      (behind ? program : ours).push_back(std::move(argument));
    }
  }
  return {std::move(ours), std::move(program)};
}

// CLI11 explains itself over several lines; the first is the one that says what is wrong.
std::string FirstLine(const std::string& text) { return text.substr(0, text.find('\n')); }

int Fail(const std::string& message) {
  constexpr std::string_view kPrefix = "sluice: ";  // errors of the configuration have it already
  if (!message.starts_with(kPrefix)) std::cerr << kPrefix;
  std::cerr << message << "\n";
  return kUsageError;
}

std::string UsageHint(const CLI::App& sluice) {
  for (const CLI::App* verb : sluice.get_subcommands()) {
    return "; sluice " + verb->get_name() + " --help lists the options";
  }
  return "; sluice --help lists the verbs";
}

int PrintHelp(CLI::App& sluice, const std::string& topic) {
  if (topic.empty()) {
    std::cout << sluice.help();
    return 0;
  }
  for (const CLI::App* verb : sluice.get_subcommands([](const CLI::App*) { return true; })) {
    if (verb->get_name() != topic) continue;
    std::cout << verb->help();
    return 0;
  }
  return Fail("no verb is called " + topic + "; sluice --help lists them");
}

int Main(int argc, char** argv) {
  auto [arguments, program] = SplitAtDashes(argc, argv);
  CLI::App sluice("Sockets without the kernel: a virtual socket layer on DPDK", "sluice");
  sluice.set_version_flag("--version", "sluice " SLUICE_VERSION);
  sluice.footer("Each verb has a man page: sluice-run(1), sluice-ss(1), sluice-doctor(1).");

  std::unique_ptr<Verb> verbs[] = {MakeRunVerb(program), MakeSsVerb(), MakeDoctorVerb()};
  std::vector<CLI::App*> subcommands;
  for (auto& verb : verbs) subcommands.push_back(verb->Register(sluice));
  CLI::App* version = sluice.add_subcommand("version", "Print the version");
  CLI::App* help = sluice.add_subcommand("help", "Print this help, or that of a verb");
  std::string topic;
  help->add_option("verb", topic, "The verb to explain");
  sluice.require_subcommand(0, 1);

  try {
    // CLI11 takes the arguments from the back.
    sluice.parse(std::vector<std::string>(arguments.rbegin(), arguments.rend()));
  } catch (const CLI::ParseError& error) {
    if (error.get_exit_code() == 0) return sluice.exit(error);  // --help, --version
    return Fail(FirstLine(error.what()) + UsageHint(sluice));
  }

  if (!program.empty() && !subcommands[0]->parsed()) {
    return Fail("only the verb run takes a program: sluice run [options] -- program [arguments]");
  }
  for (size_t i = 0; i < subcommands.size(); ++i) {
    if (!subcommands[i]->parsed()) continue;
    absl::StatusOr<int> status = verbs[i]->Execute();
    return status.ok() ? *status : Fail(std::string(status.status().message()));
  }
  if (version->parsed()) {
    std::cout << "sluice " SLUICE_VERSION "\n";
    return 0;
  }
  return PrintHelp(sluice, topic);
}

}  // namespace
}  // namespace sluice::apps

int main(int argc, char** argv) { return sluice::apps::Main(argc, argv); }
