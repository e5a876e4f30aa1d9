// Hands every file of the folders named on the command line to a fuzz target, in the order of their
// names, so that ordinary builds try what fuzzing once found.
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <vector>

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* octets, size_t size);

namespace {

std::vector<std::filesystem::path> FilesOf(const char* folder) {
  std::vector<std::filesystem::path> files;
  for (const auto& entry : std::filesystem::directory_iterator(folder)) {
    if (entry.is_regular_file()) files.push_back(entry.path());
  }
  std::sort(files.begin(), files.end());
  return files;
}

// Allocated exactly as long as the file, so that ASan sees a read past its end.
std::vector<uint8_t> ReadAll(const std::filesystem::path& path) {
  std::vector<uint8_t> octets(std::filesystem::file_size(path));
  std::ifstream file(path, std::ios::binary);
  file.read(reinterpret_cast<char*>(octets.data()), static_cast<std::streamsize>(octets.size()));
  return octets;
}

}  // namespace

int main(int argc, char** argv) {
  size_t count = 0;
  for (int i = 1; i < argc; ++i) {
    for (const std::filesystem::path& path : FilesOf(argv[i])) {
      // Said first: a crash then shows which file it was.
      std::printf("%s\n", path.c_str());
      std::fflush(stdout);
      const std::vector<uint8_t> octets = ReadAll(path);
      LLVMFuzzerTestOneInput(octets.data(), octets.size());
      ++count;
    }
  }
  if (count == 0) std::fprintf(stderr, "no corpus file to replay; expected folders with some\n");
  return count == 0 ? 1 : 0;
}
