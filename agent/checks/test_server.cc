#include "agent/checks/test_server.h"

#include <gtest/gtest.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <fstream>

#include "base/check.h"
#include "base/ip_address.h"

namespace pharos::agent {
namespace {

// Binds to a free port of 127.0.0.1 and returns its address.
std::string BindLoopback(int socket) {
  sockaddr_storage storage{};
  const SocketAddress any{.ip = IpAddress::V4({127, 0, 0, 1}), .port = 0};
  socklen_t length = any.ToSockaddr(storage);
  CHECK(bind(socket, reinterpret_cast<const sockaddr*>(&storage), length) == 0);
  CHECK(getsockname(socket, reinterpret_cast<sockaddr*>(&storage), &length) == 0);
  return SocketAddress::FromSockaddr(storage).ToString();
}

std::string TakePem(BIO* bio) {
  char* text = nullptr;
  const auto octets = BIO_ctrl(bio, BIO_CTRL_INFO, 0, &text);
  std::string pem(text, static_cast<size_t>(octets));
  BIO_free(bio);
  return pem;
}

void AddExtension(X509* certificate, int id, const char* value) {
  X509_EXTENSION* extension = X509V3_EXT_conf_nid(nullptr, nullptr, id, value);
  CHECK(extension != nullptr);
  X509_add_ext(certificate, extension, -1);
  X509_EXTENSION_free(extension);
}

// HTTP/2 for whoever offers it.
int SelectHttp2(SSL*, const unsigned char** out, unsigned char* out_octets,
                const unsigned char* offered, unsigned offered_octets, void*) {
  static constexpr std::array<unsigned char, 3> kHttp2 = {2, 'h', '2'};
  unsigned char* selected = nullptr;
  if (SSL_select_next_proto(&selected, out_octets, kHttp2.data(), kHttp2.size(), offered,
                            offered_octets) != OPENSSL_NPN_NEGOTIATED) {
    return SSL_TLSEXT_ERR_NOACK;
  }
  *out = selected;
  return SSL_TLSEXT_ERR_OK;
}

}  // namespace

std::string TestPeer::Read() {
  std::array<char, 4096> buffer;
  const ssize_t got = ssl_ != nullptr ? SSL_read(ssl_, buffer.data(), buffer.size())
                                      : read(fd_, buffer.data(), buffer.size());
  return got > 0 ? std::string(buffer.data(), static_cast<size_t>(got)) : std::string();
}

void TestPeer::Write(std::string_view octets) {
  while (!octets.empty()) {
    const ssize_t sent = ssl_ != nullptr
                             ? SSL_write(ssl_, octets.data(), static_cast<int>(octets.size()))
                             : send(fd_, octets.data(), octets.size(), MSG_NOSIGNAL);
    if (sent <= 0) return;
    octets.remove_prefix(static_cast<size_t>(sent));
  }
}

TestCertificate::TestCertificate() {
  EVP_PKEY* key = EVP_PKEY_Q_keygen(nullptr, nullptr, "EC", "P-256");
  X509* certificate = X509_new();
  X509_set_version(certificate, X509_VERSION_3);
  ASN1_INTEGER_set(X509_get_serialNumber(certificate), 1);
  X509_gmtime_adj(X509_getm_notBefore(certificate), -3600);
  X509_gmtime_adj(X509_getm_notAfter(certificate), 3600);
  X509_set_pubkey(certificate, key);
  X509_NAME* name = X509_get_subject_name(certificate);
  X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_ASC,
                             reinterpret_cast<const unsigned char*>("localhost"), -1, -1, 0);
  X509_set_issuer_name(certificate, name);
  AddExtension(certificate, NID_basic_constraints, "critical,CA:TRUE");
  AddExtension(certificate, NID_subject_alt_name, "DNS:localhost,IP:127.0.0.1");
  CHECK(X509_sign(certificate, key, EVP_sha256()) > 0);
  BIO* bio = BIO_new(BIO_s_mem());
  PEM_write_bio_X509(bio, certificate);
  certificate_pem = TakePem(bio);
  bio = BIO_new(BIO_s_mem());
  PEM_write_bio_PrivateKey(bio, key, nullptr, nullptr, 0, nullptr, nullptr);
  key_pem = TakePem(bio);
  X509_free(certificate);
  EVP_PKEY_free(key);
  certificate_file = testing::TempDir() + "checks_test_" + std::to_string(getpid()) + ".pem";
  std::ofstream(certificate_file) << certificate_pem;
}

TestServer::TestServer(Serve serve, const TestCertificate* certificate)
    : listener_(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)), tls_(nullptr, &SSL_CTX_free) {
  address_ = BindLoopback(listener_);
  CHECK(listen(listener_, 128) == 0);
  if (certificate != nullptr) {
    tls_.reset(SSL_CTX_new(TLS_server_method()));
    BIO* bio = BIO_new_mem_buf(certificate->certificate_pem.data(), -1);
    X509* x509 = PEM_read_bio_X509(bio, nullptr, nullptr, nullptr);
    BIO_free(bio);
    bio = BIO_new_mem_buf(certificate->key_pem.data(), -1);
    EVP_PKEY* key = PEM_read_bio_PrivateKey(bio, nullptr, nullptr, nullptr);
    BIO_free(bio);
    CHECK(SSL_CTX_use_certificate(tls_.get(), x509) == 1);
    CHECK(SSL_CTX_use_PrivateKey(tls_.get(), key) == 1);
    X509_free(x509);
    EVP_PKEY_free(key);
    SSL_CTX_set_alpn_select_cb(tls_.get(), &SelectHttp2, nullptr);
  }
  thread_ = std::thread([this, serve = std::move(serve)] { Run(serve); });
}

TestServer::~TestServer() {
  shutdown(listener_, SHUT_RDWR);  // Ends accept.
  thread_.join();
  close(listener_);
}

void TestServer::Run(const Serve& serve) {
  while (true) {
    const int fd = accept4(listener_, nullptr, nullptr, SOCK_CLOEXEC);
    if (fd < 0) return;
    SSL* ssl = nullptr;
    bool ready = true;
    if (tls_ != nullptr) {
      ssl = SSL_new(tls_.get());
      SSL_set_fd(ssl, fd);
      ready = SSL_accept(ssl) == 1;
    }
    TestPeer peer(fd, ssl);
    if (ready) serve(peer);
    SSL_free(ssl);
    close(fd);
  }
}

ClosedPort::ClosedPort() : socket_(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
  address_ = BindLoopback(socket_);
}

ClosedPort::~ClosedPort() { close(socket_); }

}  // namespace pharos::agent
