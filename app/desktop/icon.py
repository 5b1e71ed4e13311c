"""The icon: a box with papers coming out of it."""

ICON = """\
<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 64 64" width="64" height="64">
  <path d="M17 8h22l8 8v24H17z" fill="#fff" stroke="#475569" stroke-width="2" stroke-linejoin="round"/>
  <path d="M39 8v8h8" fill="#e2e8f0" stroke="#475569" stroke-width="2" stroke-linejoin="round"/>
  <path d="M22 16h11M22 22h20M22 28h20" stroke="#94a3b8" stroke-width="2" stroke-linecap="round"/>
  <path d="M6 32h52l-4 24H10z" fill="#b45309" stroke="#78350f" stroke-width="2" stroke-linejoin="round"/>
  <path d="M4 28h56v8H4z" fill="#d97706" stroke="#78350f" stroke-width="2" stroke-linejoin="round"/>
  <path d="M25 43h14v6H25z" fill="#fef3c7" stroke="#78350f" stroke-width="2" stroke-linejoin="round"/>
</svg>
"""
