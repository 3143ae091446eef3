#!/bin/sh
# Builds the images, starts everything with docker compose, and says where it is. Needs .env (make compose-env).
set -eu
cd "$(dirname "$0")/../.."

setting() { # NAME DEFAULT: as docker compose reads it, the environment first
  value=$(printenv "$1") || value=$(sed -n "s/^$1=//p" .env | tail -n 1)
  echo "${value:-$2}"
}
port=$(setting PORT 8000)
console_port=$(setting CONSOLE_PORT 8080)
api_port=$(setting API_PORT 8070)
amqp_port=$(setting AMQP_PORT 5672)
management_port=$(setting MANAGEMENT_PORT 15672)
case ,$(setting COMPOSE_PROFILES ""), in
  *,console,*) console_url=http://localhost:$console_port ;;
  *) console_url= ;;
esac

is_free() { # PORT; without python3 docker compose itself will tell, after it has built
  ! command -v python3 >/dev/null || python3 -c 'import socket, sys
with socket.socket() as probe:
    probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    probe.bind(("127.0.0.1", int(sys.argv[1])))' "$1" 2>/dev/null
}
need() { # PORT VARIABLE
  is_free "$1" || { echo "port $1 is in use by another program: set $2 to a free port, here or in .env" >&2; exit 1; }
}
if [ -z "$(docker compose ps --quiet)" ]; then # else it is our own containers that hold the ports
  need "$port" PORT
  [ -z "$console_url" ] || need "$console_port" CONSOLE_PORT
  need "$api_port" API_PORT
  need "$amqp_port" AMQP_PORT
  need "$management_port" MANAGEMENT_PORT
fi

docker compose up --build --detach --wait

cat <<BLOCK

  Warren is ready

  Console      ${console_url:-not started: its profile is not in COMPOSE_PROFILES}
  WebSocket    ws://localhost:$port/connection/websocket
  Token        make compose-token USER=alice        (CHANNELS=chat:a,chat:b TTL=1h)
  HTTP API     http://127.0.0.1:$api_port/api        (X-API-Key: WARREN_API_KEYS of .env)
  Backends     publish to warren.publish at amqp://backend:PASSWORD@127.0.0.1:$amqp_port/warren, BACKEND_PASSWORD of .env
  RabbitMQ     http://127.0.0.1:$management_port  user warren-admin, WARREN_ADMIN_PASSWORD of .env
  Stop         make compose-down

BLOCK
