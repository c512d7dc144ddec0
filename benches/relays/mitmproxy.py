"""The filter of this comparison as an addon of mitmproxy: mitmdump -s mitmproxy.py"""

import json


def websocket_message(flow):
    messages = flow.websocket.messages
    message = messages[-1]
    if message.from_client:
        event = json.loads(message.content)
        if event.get("type") == "a":
            event["seen"] = True
            message.content = json.dumps(event, separators=(",", ":"), ensure_ascii=False).encode()
        else:
            message.drop()
    # mitmproxy keeps all messages of a connection otherwise.
    if len(messages) > 64:
        del messages[:-1]
