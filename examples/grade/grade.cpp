// grade WORKER FILE FAMILY: judges one output, in a child process, and says its
// outcome and why. What a grader or a reward function would do.

#include <cstdio>
#include <fstream>
#include <iterator>
#include <string>
#include <vector>

#include <skillbench/skillbench.hpp>

int main(int count, char** words) {
  if (count != 4) {
    std::fputs("usage: grade WORKER FILE FAMILY\n", stderr);
    return 2;
  }
  const std::string worker = words[1];

  skillbench::sample given;
  given.path = words[2];
  given.task = words[3];
  std::ifstream in(given.path, std::ios::binary);
  given.output = {std::istreambuf_iterator<char>(in), {}};

  std::vector<skillbench::family> families;
  for (const auto& text : skillbench::family_texts())
    if (auto one = skillbench::read_family(text.json, std::string(text.prompt),
                                           std::string(text.baseline),
                                           text.reference))
      families.push_back(std::move(one).value());

  const auto cuda = skillbench::find_toolkit();
  if (!cuda) {
    std::fprintf(stderr, "%s\n", cuda.error().what.c_str());
    return 3;
  }
  // A fresh child for each candidate: what it runs is not to be trusted. Its
  // environment says where the toolkit is and nothing else.
  auto on = skillbench::remote::start(
      {.program = worker,
       .arguments = {"worker"},
       .environment = skillbench::toolkit_environment(cuda.value())});
  if (!on) {
    std::fprintf(stderr, "%s\n", on.error().what.c_str());
    return 3;
  }
  const auto told =
      skillbench::evaluate(given, families, *on.value(), {.seed = 1});
  if (!told) {  // trouble of ours: no outcome, so nothing to reward or punish
    std::fprintf(stderr, "%s\n", told.error().what.c_str());
    return 3;
  }
  const std::string outcome(name(told.value().what));
  std::printf("%s\n%s\n", outcome.c_str(), told.value().reason.c_str());
  return 0;
}
