// IGMP and MLD: queries and reports of all versions.
#include "fuzz.h"
#include "wire/checksum.h"
#include "wire/igmp.h"
#include "wire/mld.h"

using namespace sluice;

namespace {

struct IgmpQuery : wire::GroupQuery {
  size_t size() const { return wire::IgmpQuerySize(*this); }
  void Emit(wire::Bytes out) const { wire::EmitIgmpQuery(*this, out); }
};
struct MldQuery : wire::GroupQuery {
  size_t size() const { return wire::MldQuerySize(*this); }
  void Emit(wire::Bytes out) const { wire::EmitMldQuery(*this, out); }
};

template <typename Query>
std::optional<Query> As(const std::optional<wire::GroupQuery>& query) {
  if (!query) return std::nullopt;
  return Query{*query};
}

// Records as received, in a form that can be sent.
struct Report {
  std::vector<std::vector<wire::IpAddress>> sources;
  std::vector<wire::GroupRecord> records;

  void Take(const wire::ReceivedGroupRecord& record) {
    auto& list = sources.emplace_back();
    for (size_t i = 0; i < record.sources.size(); ++i) list.push_back(record.sources[i]);
    records.push_back({record.type, record.group, list});
  }
};

void CheckIgmpReport(wire::ConstBytes input) {
  Report report;
  if (!wire::ParseIgmpV3Report(input, [&](const auto& record) { report.Take(record); })) return;
  std::vector<uint8_t> bytes(wire::IgmpV3ReportSize(report.records));
  wire::EmitIgmpV3Report(report.records, bytes);
  fuzz::Check(wire::ChecksumValid(wire::Sum(bytes)), "the checksum is right");
  size_t seen = 0;
  const bool parsed = wire::ParseIgmpV3Report(bytes, [&](const auto& record) {
    fuzz::Check(record.group == report.records[seen].group, "the groups are the same");
    fuzz::Check(record.sources.size() == report.sources[seen].size(), "as many sources");
    ++seen;
  });
  fuzz::Check(parsed && seen == report.records.size(), "as many records");
}

void CheckMldReport(wire::ConstBytes input) {
  Report report;
  if (!wire::ParseMldV2Report(input, [&](const auto& record) { report.Take(record); })) return;
  std::vector<uint8_t> bytes(wire::MldV2ReportSize(report.records));
  wire::EmitMldV2Report(report.records, bytes);
  size_t seen = 0;
  const bool parsed = wire::ParseMldV2Report(bytes, [&](const auto& record) {
    fuzz::Check(record.group == report.records[seen].group, "the groups are the same");
    fuzz::Check(record.sources.size() == report.sources[seen].size(), "as many sources");
    ++seen;
  });
  fuzz::Check(parsed && seen == report.records.size(), "as many records");
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const wire::ConstBytes input(data, size);
  fuzz::RoundTrip<wire::IgmpMessage>(input);
  fuzz::RoundTrip<wire::MldMessage>(input);
  fuzz::RoundTripWith<IgmpQuery>(
      input, [](wire::ConstBytes bytes) { return As<IgmpQuery>(wire::ParseIgmpQuery(bytes)); });
  fuzz::RoundTripWith<MldQuery>(
      input, [](wire::ConstBytes bytes) { return As<MldQuery>(wire::ParseMldQuery(bytes)); });
  CheckIgmpReport(input);
  CheckMldReport(input);
  return 0;
}
