# finds: SD702
# reported: shashankprasanna/torchserve-examples#8
FROM python:3.11-slim-bookworm
CMD ["torchserve"]
