"""What a request looks like: bytes to typed members and back, by botocore's models.

`routing.route` says which operation a request means, `protocols.parse` reads its members,
`validation.validate` holds them against the model, `protocols.serialize` and `serialize_error`
write the answer. Nothing here knows what SageMaker is.
"""
