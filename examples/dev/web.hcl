# Two instances of one service, told apart by their tags:
#   dig @127.0.0.1 -p 8600 web.service.consul
#   dig @127.0.0.1 -p 8600 v2.web.service.consul SRV
services = [
  {
    id      = "web-1"
    name    = "web"
    address = "10.0.0.11"
    port    = 8080
    tags    = ["v1"]
  },
  {
    id      = "web-2"
    name    = "web"
    address = "10.0.0.12"
    port    = 8080
    tags    = ["v2"]
  },
]
