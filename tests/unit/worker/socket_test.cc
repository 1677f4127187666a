// The control socket: frames over a real Unix socket, one client at a time, nonsense closes the connection.
// SPDX-License-Identifier: Apache-2.0
#include "dataplane/node/control_socket.h"

#include <gtest/gtest.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <cstring>
#include <filesystem>

namespace longhaul::node {
namespace {

class ControlSocketTest : public testing::Test {
  protected:
    void SetUp() override {
        char name[] = "/tmp/longhaul-socket-XXXXXX";
        ASSERT_NE(::mkdtemp(name), nullptr);
        directory_ = name;
        path_ = directory_ + "/dataplane.sock";
    }
    void TearDown() override { std::filesystem::remove_all(directory_); }

    int connect() const {
        const int fd = ::socket(AF_UNIX, SOCK_STREAM, 0);
        sockaddr_un address{};
        address.sun_family = AF_UNIX;
        std::memcpy(address.sun_path, path_.c_str(), path_.size() + 1);
        EXPECT_EQ(::connect(fd, reinterpret_cast<const sockaddr*>(&address), sizeof address), 0);
        return fd;
    }
    static void put(int fd, const std::vector<std::uint8_t>& bytes) {
        EXPECT_EQ(::send(fd, bytes.data(), bytes.size(), 0), static_cast<ssize_t>(bytes.size()));
    }
    // True when the other end has closed this one.
    static bool closed(int fd) {
        char byte = 0;
        return ::recv(fd, &byte, 1, MSG_DONTWAIT) == 0;
    }

    std::string directory_, path_;
};

// A frame with its blob arrives whole although it came in two pieces; the answer goes back.
TEST_F(ControlSocketTest, CarriesFrames) {
    auto socket = ControlSocket::listen(path_);
    ASSERT_TRUE(socket.ok()) << socket.error().text;
    struct stat file {};
    ASSERT_EQ(::stat(path_.c_str(), &file), 0);
    EXPECT_EQ(file.st_mode & 0777u, 0600u);
    const int client = connect();
    ASSERT_TRUE(socket.value().accept_client());
    const auto bytes = command::write_frame({"{\"seq\":1}", {1, 2, 3}});
    put(client, {bytes.begin(), bytes.begin() + 5});
    EXPECT_TRUE(socket.value().receive().empty());
    put(client, {bytes.begin() + 5, bytes.end()});
    const auto frames = socket.value().receive();
    ASSERT_EQ(frames.size(), 1u);
    EXPECT_EQ(frames[0].json, "{\"seq\":1}");
    EXPECT_EQ(frames[0].blob, (std::vector<std::uint8_t>{1, 2, 3}));
    socket.value().send({"{\"re\":1}", {}});
    std::vector<std::uint8_t> answer(64);
    const ssize_t got = ::recv(client, answer.data(), answer.size(), 0);
    EXPECT_EQ(got, static_cast<ssize_t>(command::write_frame({"{\"re\":1}", {}}).size()));
    ::close(client);
}

// A second control replaces the first, whose half-sent frame is forgotten.
TEST_F(ControlSocketTest, NewestClientWins) {
    auto socket = ControlSocket::listen(path_);
    ASSERT_TRUE(socket.ok());
    const int first = connect();
    ASSERT_TRUE(socket.value().accept_client());
    put(first, {0, 0});
    socket.value().receive();
    const int second = connect();
    ASSERT_TRUE(socket.value().accept_client());
    EXPECT_TRUE(closed(first));
    put(second, command::write_frame({"{}", {}}));
    EXPECT_EQ(socket.value().receive().size(), 1u);
    ::close(first);
    ::close(second);
}

// Impossible lengths close the connection; the next client is served.
TEST_F(ControlSocketTest, NonsenseClosesTheConnection) {
    auto socket = ControlSocket::listen(path_);
    ASSERT_TRUE(socket.ok());
    const int client = connect();
    ASSERT_TRUE(socket.value().accept_client());
    put(client, std::vector<std::uint8_t>(16, 0xff));
    EXPECT_TRUE(socket.value().receive().empty());
    EXPECT_EQ(socket.value().client_fd(), -1);
    EXPECT_TRUE(closed(client));
    ::close(client);
}

// A socket file that a killed process left behind does not stop the next start.
TEST_F(ControlSocketTest, ReplacesAStaleFile) {
    ASSERT_EQ(::mknod(path_.c_str(), S_IFREG | 0600, 0), 0);
    EXPECT_TRUE(ControlSocket::listen(path_).ok());
    const auto refused = ControlSocket::listen("/nonexistent/dataplane.sock");
    ASSERT_FALSE(refused.ok());
    EXPECT_NE(refused.error().text.find("/nonexistent/dataplane.sock"), std::string::npos);
}

}  // namespace
}  // namespace longhaul::node
