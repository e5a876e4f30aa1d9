# dig @127.0.0.1 -p 8600 redis.service.consul SRV
service {
  name = "redis"
  port = 6379
  tags = ["primary"]
}
