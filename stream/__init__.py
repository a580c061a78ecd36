"""From any video to tracked people: the stages and what moves messages between them."""
