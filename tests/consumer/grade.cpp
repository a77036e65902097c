// grade TASK FILE...: the outcome of each, then that of the task's baseline.
#include <cstdio>
#include <fstream>
#include <iterator>
#include <string>

#include <skillbench/skillbench.hpp>

int main(int count, char** words) {
  const std::string task = count > 1 ? words[1] : "";
  auto opened = skillbench::grader::open();
  if (!opened) {
    std::fprintf(stderr, "%s\n", opened.error().what.c_str());
    return 3;
  }
  skillbench::grader& grader = opened.value();
  const auto grade = [&](const std::string& what, std::string output) {
    const auto told = grader.grade(std::move(output), task);
    std::printf("%s: %s\n", what.c_str(),
                told ? std::string(name(told.value().what)).c_str()
                     : told.error().what.c_str());
  };
  for (int i = 2; i < count; ++i) {
    std::ifstream in(words[i], std::ios::binary);
    const std::string path = words[i];
    grade(path.substr(path.rfind('/') + 1),
          {std::istreambuf_iterator<char>(in), {}});
  }
  for (const skillbench::family& each : grader.families())
    if (each.name == task) grade("baseline", each.baseline);
}
