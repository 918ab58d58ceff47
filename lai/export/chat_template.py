"""The chat format of docs/format.md as a Jinja template, which llama.cpp and transformers read."""

# It begins with the token: of the programs that read templates, some add none themselves, and none doubles it.
# One line, so that no setting of white space changes it.
CHAT_TEMPLATE = (
    "{{ bos_token }}"
    "{% for message in messages %}"
    "{% if message['role'] not in ['system', 'user', 'assistant'] %}"
    "{{ raise_exception('the roles are system, user and assistant') }}"
    "{% endif %}"
    "{{ '<' + message['role'] + '>' }}{{ message['content'] }}{{ '</' + message['role'] + '>' }}"
    "{% endfor %}"
    "{% if add_generation_prompt %}{{ '<assistant>' }}{% endif %}"
)
