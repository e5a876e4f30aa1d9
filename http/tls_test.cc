#include "http/tls.h"

#include <gtest/gtest.h>

namespace pharos::http {
namespace {

std::string Refusal(const std::string& suites) {
  TlsOptions options;
  options.cipher_suites = suites;
  return std::string(MakeTlsContext(options).status().message());
}

TEST(MakeTlsContext, TakesCipherSuitesByTheirNamesOfIana) {
  EXPECT_EQ(Refusal(""), "");
  EXPECT_EQ(Refusal("TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256, "
                    "TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256"),
            "");
  EXPECT_EQ(Refusal("TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256,BOGUS"),
            "tls_cipher_suites has \"BOGUS\"; expected names such as "
            "TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256");
}

TEST(MakeTlsContext, OffersTheSuitesThatWereNamedAndNoOthers) {
  TlsOptions options;
  options.cipher_suites = "TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384";
  const auto context = MakeTlsContext(options);
  ASSERT_TRUE(context.ok()) << context.status();
  const STACK_OF(SSL_CIPHER)* offered = SSL_CTX_get_ciphers(context->get());
  int before_tls_1_3 = 0;
  for (int i = 0; i < sk_SSL_CIPHER_num(offered); ++i) {
    const SSL_CIPHER* cipher = sk_SSL_CIPHER_value(offered, i);
    if (std::string_view(SSL_CIPHER_get_version(cipher)) == "TLSv1.3") continue;
    ++before_tls_1_3;
    EXPECT_STREQ(SSL_CIPHER_standard_name(cipher), "TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384");
  }
  EXPECT_EQ(before_tls_1_3, 1);
}

}  // namespace
}  // namespace pharos::http
