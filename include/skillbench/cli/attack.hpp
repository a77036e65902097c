#pragma once
// cli/attack.hpp: `skillbench attack`: hostile outputs, judged, and held against
// the outcome that each must get.
//
// Layer   7. cli/selftest.hpp does the judging.
// Files   kernels/<family>/attack/*.md, with the first lines of selftest's.
//         `{planted file}` and `{planted pipe}` in a text are paths that are
//         made for the run: a file with a secret, and a pipe nobody writes.
// Secrets The same secret stands in the environment. No record may hold it, nor
//         the first account of /etc/passwd: an attack that got the outcome it
//         should and leaked is told as one that differs. Where somebody asks for
//         `--isolation basic`, files can be read, and those that say `basic=` end
//         so; a machine that has no more to offer is no excuse.

#include <sys/stat.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <random>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <skillbench/cli/arguments.hpp>
#include <skillbench/cli/selftest.hpp>
#include <skillbench/cli/text.hpp>
#include <skillbench/json_record.hpp>
#include <skillbench/scratch.hpp>

namespace skillbench::cli {

class planted {
 public:
  [[nodiscard]] static result<planted> make() {
    auto folder = scratch_folder::make();
    if (!folder) return folder.error();
    planted made(std::move(folder).value());
    std::error_code failed;
    std::random_device draw;
    for (int i = 0; i < 4; ++i) made.secret_ += std::to_string(draw());
    made.secret_ = "planted" + made.secret_;
    std::ofstream(made.file()) << "\"" << made.secret_ << "\"\n";
    if (::mkfifo(made.pipe().c_str(), 0600) != 0 ||
        !std::filesystem::exists(made.file(), failed))
      return fault{reason::io,
                   made.folder_.path() + ": cannot make planted files"};
    ::setenv("SKILLBENCH_PLANTED", made.secret_.c_str(), 1);
    std::ifstream accounts("/etc/passwd");
    std::getline(accounts, made.account_);
    return made;
  }
  ~planted() {
    if (!folder_.path().empty()) ::unsetenv("SKILLBENCH_PLANTED");
  }
  planted(planted&&) = default;
  planted& operator=(planted&&) = delete;

  [[nodiscard]] std::string file() const { return folder_.path() + "/secret.h"; }
  [[nodiscard]] std::string pipe() const { return folder_.path() + "/pipe.h"; }

  // The text with the paths in place.
  [[nodiscard]] std::string in(std::string text) const {
    for (const auto& [name, path] :
         {std::pair{std::string_view("{planted file}"), file()},
          std::pair{std::string_view("{planted pipe}"), pipe()}})
      for (std::size_t at = 0;
           (at = text.find(name, at)) != std::string::npos; at += path.size())
        text.replace(at, name.size(), path);
    return text;
  }
  // "" when the record holds no secret.
  [[nodiscard]] std::string leaked(const record& told) const {
    const std::string line = write_record(told);
    if (line.find(secret_) != std::string::npos)
      return "LEAKED: the record holds the planted secret";
    if (account_.size() > 8 && line.find(account_) != std::string::npos)
      return "LEAKED: the record holds a line of /etc/passwd";
    return "";
  }

 private:
  explicit planted(scratch_folder folder) : folder_(std::move(folder)) {}
  scratch_folder folder_;
  std::string secret_, account_;
};

// What is to be expected of a worker that can read files.
inline void expect_open_files(expectation& of) {
  if (of.basic == "leaks")
    of.leaks = true;
  else if (!of.basic.empty())
    of.outcome = of.basic;
}

[[nodiscard]] inline exit_code tell(const attack_command& asked,
                                    const std::vector<family>& known,
                                    stream& out, stream& trouble) {
  const auto complain = [&](const std::string& what) {
    trouble.line("skillbench: " + printable(what));
  };
  auto kernels = asked.kernels.empty() ? find_kernels()
                                       : result<std::string>(asked.kernels);
  if (!kernels) {
    complain(kernels.error().what);
    return exit_code::misuse;
  }
  auto files =
      selftest_files(kernels.value(), known, asked.family, {"attack"}, false);
  if (!files || files.value().empty()) {
    complain(files ? kernels.value() + " holds no attack/*.md of a family"
                   : files.error().what);
    return exit_code::misuse;
  }
  const auto secrets = planted::make();
  if (!secrets) {
    complain(secrets.error().what);
    return exit_code::broken;
  }
  for (selftest_file& each : files.value()) {
    each.given.output = secrets.value().in(std::move(each.given.output));
    if (asked.isolation == "basic") expect_open_files(each.wanted);
  }
  return judge_expected(
      files.value(), asked, known, out, trouble,
      [&](const record& told) { return secrets.value().leaked(told); });
}

}  // namespace skillbench::cli
