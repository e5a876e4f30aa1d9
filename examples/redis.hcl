# A service with a health check, to be put in a folder that the agent gets by -config-dir.
service {
  name = "redis"
  port = 6379
  tags = ["primary"]
  check {
    tcp      = "localhost:6379"
    interval = "10s"
    timeout  = "1s"
  }
}
